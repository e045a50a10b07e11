// Bundles the script and style of the pages into dist/, from where they are
// embedded into the gateway. Nothing in dist/ is fetched from elsewhere.
import { build } from "esbuild";
import { copyFile } from "node:fs/promises";

await build({
  entryPoints: ["src/page.ts", "src/watch.ts", "src/upload.ts", "src/drafts.ts", "src/page.css"],
  outdir: "dist",
  bundle: true,
  minify: true,
  target: ["es2022"],
  format: "esm",
  legalComments: "none",
  alias: { "hls.js": "hls.js/light" }, // a third smaller; without alternate audio, which we don't have
  logLevel: "info",
});
// The worker of hls.js is a file of its own, so that the content security policy needs no blob: for scripts.
await copyFile("node_modules/hls.js/dist/hls.worker.js", "dist/hls.worker.js");
