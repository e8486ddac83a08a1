// Not built yet.
import { html } from "../lib.js";
export default function View() { return html`<div class="page"><h1>checks</h1></div>`; }
