// Runs the tests of test/ by Node's own runner: they are bundled first, as the pages' script is.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";

const out = "node_modules/.tests";
const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
rmSync(out, { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: ["node20"],
  logLevel: "warning",
});
const ran = spawnSync(process.execPath, ["--test", "--test-reporter=dot", ...tests.map((name) => `${out}/${name.replace(/\.ts$/, ".mjs")}`)], { stdio: "inherit" });
process.exit(ran.status ?? 1);
