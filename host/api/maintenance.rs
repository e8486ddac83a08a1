//! Maintenance windows: which are declared, which are open. Reads only; they are written in manifests.

use axum::{Json, extract::State};

use super::{ApiState, error::Refused};
use crate::facts::MaintenanceView;

/// All maintenance windows, in file and list order.
#[utoipa::path(get, path = "/api/v1/maintenance", operation_id = "list_maintenance", tag = "records",
    responses((status = 200, description = "Windows, in file and list order", body = Vec<MaintenanceView>), Refused))]
pub async fn list(State(state): State<ApiState>) -> Json<Vec<MaintenanceView>> {
    let newest = state.fleet.desired().maintenance();
    let mut views = state.checks.maintenance();
    for view in &mut views {
        // A table that moved is the same window; it is shown where it stands now.
        if let Some(spec) = newest.iter().find(|spec| spec.name == view.name) {
            (view.file, view.line) = (spec.origin.file.to_string(), spec.origin.line);
        }
    }
    Json(views)
}
