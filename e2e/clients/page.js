// The client in a page: /?client=NAME, of another origin than the gateway's. The
// URLs of uploads lie in the origin's localStorage, shared by all tabs.
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";
import { obey } from "./driver.js";

async function pick(file) {
  const answer = await fetch(`/files/${file.name}`);
  return new File([await answer.blob()], file.name, { type: "video/mp4", lastModified: file.modified });
}

let uppy;

obey("", new URLSearchParams(location.search).get("client"), {
  async input({ file, stream }) {
    const picked = await pick(file);
    return stream ? picked.stream().getReader() : picked;
  },
  storage: () => ({}),
  reload: () => location.reload(),

  // uppy sends a file with Uppy's own defaults.
  async uppy({ file, options }, tell) {
    uppy = new Uppy({ autoProceed: true }).use(Tus, options);
    uppy.on("upload-success", (_, { uploadURL }) => tell("success", { url: uploadURL }));
    uppy.on("upload-error", (_, error) => tell("error", { message: String(error.message) }));
    uppy.addFile({ name: file.name, type: "video/mp4", data: await pick(file) });
  },
  // toggle pauses what Uppy sends, and lets it go on the next time.
  toggle(_, tell) {
    const [file] = uppy.getFiles();
    tell(uppy.pauseResume(file.id) ? "aborted" : "resumed");
  },

  // fetch shows which of an answer's headers a page of another origin may read.
  async fetch({ url, options }, tell) {
    const answer = await fetch(url, options);
    tell("fetched", { status: answer.status, headers: Object.fromEntries(answer.headers) });
  },
});
