//! The figures that no single criterion bench shows. (being written)

fn main() {}
