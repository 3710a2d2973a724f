// Compares the document with the newest released one, and fails on what can break a client of that.
// node breaking.js [folder of released documents] [document]

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [released = "../released", document = "../openapi.json"] = process.argv.slice(2);

/** The version in the name of a file; a name that hides a released document from this check is refused. */
function version(name) {
  const [, found] = /^(\d+\.\d+\.\d+)\.json$/.exec(name) ?? [];
  const said = JSON.parse(readFileSync(join(released, name))).info.version;
  if (found !== said) throw new Error(`${name} holds version ${said}: name it ${said}.json`);
  return found;
}

const byVersion = new Intl.Collator("en", { numeric: true }).compare; // 0.10.0 is newer than 0.9.0
const newest = readdirSync(released)
  .filter((name) => !name.startsWith("."))
  .map(version)
  .sort(byVersion)
  .at(-1);

if (newest) {
  const base = join(released, `${newest}.json`);
  const { status, error } = spawnSync("redocly", ["diff", base, document, "--config", "redocly.yaml"], { stdio: "inherit" });
  if (error) throw error;
  process.exitCode = status ?? 1;
} else {
  console.warn("NO RELEASED DOCUMENT YET: nothing was compared. openapi/README.md says how a release writes one.");
}
