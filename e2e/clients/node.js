// The client in Node.js: node node.js ADDRESS NAME FILE. Files to send are read
// from the disk; the URLs of uploads lie in FILE, which outlives the process.
import { createReadStream, existsSync, writeFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import * as tus from "tus-js-client";
import { obey } from "./driver.js";

const [base, name, urls] = process.argv.slice(2);
if (!existsSync(urls)) writeFileSync(urls, "{}"); // the storage's lock needs one

await obey(base, name, {
  input({ file, stream }) {
    const source = createReadStream(file.path);
    return stream ? source.pipe(new PassThrough()) : source; // of which nothing is known before its end
  },
  storage: () => ({ urlStorage: new tus.FileUrlStorage(urls) }),
});
process.exit(0); // whatever the client still waits for
