// The manifests folder: its files with their problems, one of them as text (`edit/FILE`), a new one (`edit/new`), and undo.
// Must not write without a plan that was seen.

import { html, useEffect, useMemo, useState } from "../lib.js";
import { may, post, query as asQuery } from "../api.js";
import { link, navigate, setQuery } from "../router.js";
import { useStore } from "../store.js";
import { useTitle } from "../title.js";
import { Button, Empty, LinkButton, Notice, PageHead, Search, Section, Spinner } from "../ui/parts.js";
import { StatusMark } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { plural } from "../format.js";
import { EditFile } from "../work/edit-file.js";
import { readFile, tableName, tableWords, writeFile } from "../work/files.js";
import { Loaded, Trouble, useAgain, useLoad } from "../work/load.js";
import { planned, ProblemLine } from "../work/plan.js";
import { TEMPLATES } from "../work/templates.js";

function undo() {
  return planned({
    title: "Go back one generation?",
    text: "The manifests folder gets the texts it had before the last change. Undo again goes one further back.",
    action: "Undo",
    done: "The last change is undone",
    run: (dry) => post(`undo${dry ? asQuery({ dry_run: true }) : ""}`),
  });
}

/** Blank text takes a file away, and what it declares with it. */
function removeFile(name) {
  let base = null;
  return planned({
    title: `Delete ${name}?`,
    text: "What it declares ends; the history of checks that go is deleted with them and does not come back with undo.",
    action: "Delete",
    danger: true,
    done: `${name} is deleted`,
    run: async (dry) => {
      // What is deleted is what the plan was made of.
      if (dry) base = (await readFile(name)).base;
      return writeFile(name, "", { base, dry });
    },
  });
}

const NAMES_SHOWN = 6;

function Declares({ tables }) {
  const words = tableWords(tables);
  if (!words) return html`<span class="dim">Nothing</span>`;
  const names = tables.map(tableName).filter(Boolean);
  const more = names.length - NAMES_SHOWN;
  return html`${words}<p class="dim mono wrap-any declares">${names.slice(0, NAMES_SHOWN).join(", ")}${more > 0 && ` … ${more} more`}</p>`;
}

function List({ query }) {
  useTitle("Manifests");
  const { host } = useStore("host");
  const of = useLoad("files");
  useAgain(`${host?.generation} ${JSON.stringify(host?.problems)}`, of.reload);
  const wanted = (query.get("q") ?? "").trim().toLowerCase();
  const columns = [
    {
      id: "name",
      head: "File",
      sort: (file) => file.name,
      cell: (file) => html`<a class="text-link mono wrap-any" href=${link("edit", file.name)}>${file.name}</a>`,
    },
    { id: "declares", head: "Declares", cell: (file) => html`<${Declares} tables=${file.tables} />` },
    {
      id: "problems",
      head: "Problems",
      sort: (file) => -file.problems.length,
      cell: (file) =>
        file.problems.length > 0
          ? html`<span class="status tone-warn"><${StatusMark} of="degraded" />${plural(file.problems.length, "problem")}</span>`
          : html`<span class="status tone-ok"><${StatusMark} of="up" />none</span>`,
    },
  ];
  const fits = (file) => !wanted || file.name.toLowerCase().includes(wanted) || (file.tables ?? []).some((table) => String(tableName(table)).toLowerCase().includes(wanted));
  return html`<div class="page">
    <${PageHead} title="Manifests" sub="The folder is the desired state: what stands here runs.">
      ${may() && html`<${Button} icon="back" onClick=${async () => (await undo()) && of.reload()}>Undo the last change…<//>
        <${LinkButton} icon="plus" href=${link("edit", "new")}>New manifest<//><${LinkButton} kind="primary" icon="plus" href=${link("monitors", "new")}>Add a monitor<//>`}
    <//>
    ${host?.problems.length > 0 && html`<${Section} title=${plural(host.problems.length, "problem")}>
      <p class="dim below-head">What a broken file declared before runs on; the file is read again as soon as it changes.</p>
      <ul class="problems">${host.problems.slice(0, 20).map((problem) => html`<${ProblemLine} problem=${problem} href=${`${link("edit", problem.file)}?line=${problem.line}`} />`)}</ul>
    <//>`}
    <div class="toolbar"><${Search} label="Search manifests" placeholder="File or what it declares" value=${query.get("q") ?? ""} onInput=${(q) => setQuery({ q })} /></div>
    <section class="panel" aria-label="Files">
      <${Loaded} of=${of} what="The files">
        ${(files) => html`<${Table} caption="Manifest files" columns=${columns} rows=${files.filter(fits)} rowKey=${(file) => file.name}
          empty=${html`<${Empty} icon="files" title=${wanted ? "No file fits" : "The folder is empty"}>${!wanted && "Add a monitor, or write a manifest."}<//>`} />`}
      <//>
    </section>
  </div>`;
}

function File({ name, query }) {
  useTitle(name);
  const { host } = useStore("host");
  const [of, setOf] = useState({ file: null, error: null });
  const load = async () => {
    setOf({ file: null, error: null });
    try {
      setOf({ file: { name, ...(await readFile(name)) }, error: null });
    } catch (error) {
      setOf({ file: null, error });
    }
  };
  useEffect(() => {
    load();
  }, [name]);
  const problems = useMemo(() => (host?.problems ?? []).filter((problem) => problem.file === name), [host, name]);
  return html`<div class="page">
    <${PageHead} title=${html`<span class="mono">${name}</span>`} back=${{ href: link("edit"), text: "Manifests" }}>
      ${
        may() &&
        html`<${Button} icon="back" onClick=${async () => (await undo()) && load()}>Undo the last change…<//>
          ${of.file && html`<${Button} kind="danger" icon="trash" onClick=${async () => (await removeFile(name)) && navigate("/edit")}>Delete the file…<//>`}`
      }
    <//>
    ${of.error && html`<${Trouble} error=${of.error} what=${name} again=${load} />`}
    ${!of.file && !of.error && html`<${Spinner} />`}
    ${of.file && html`<${EditFile} key=${`${name} ${of.file.base}`} file=${of.file} line=${Number(query.get("line")) || 0} problems=${problems} />`}
  </div>`;
}

function New({ query }) {
  useTitle("New manifest");
  const files = useLoad("files");
  const asked = query.get("template");
  const id = asked in TEMPLATES ? asked : "worker";
  const template = TEMPLATES[id];
  const taken = useMemo(() => new Set((files.data ?? []).map((file) => file.name)), [files.data]);
  return html`<div class="page">
    <${PageHead} title="New manifest" sub="Nothing happens before you saw the plan." back=${{ href: link("edit"), text: "Manifests" }}>
      <label class="row"><span class="dim">Begin with</span>
        <select class="input" value=${id} onChange=${(event) => setQuery({ template: event.currentTarget.value })}>
          ${Object.entries(TEMPLATES).map(([key, { title }]) => html`<option value=${key} selected=${key === id}>${title}</option>`)}
        </select></label>
    <//>
    ${!may() && html`<${Notice} tone="info" title="This session only reads"><p>Sign in with the admin token to write manifests.</p><//>`}
    <${EditFile} key=${id} file=${{ name: template.file, text: template.toml, base: "" }} isNew taken=${taken} />
  </div>`;
}

export default function Edit({ parts, query }) {
  const { host } = useStore("host");
  if (!host) return html`<div class="page"><${Spinner} /></div>`;
  const [name] = parts;
  if (!name) return html`<${List} query=${query} />`;
  return name === "new" ? html`<${New} query=${query} />` : html`<${File} key=${name} name=${name} query=${query} />`;
}
