// One tus client that does what a test tells it, the same in Node.js and in a
// page. It asks for orders one at a time and tells what happens, in order. What it
// drives is tus-js-client as it comes from the registry, with the library's own
// defaults wherever an order doesn't say otherwise.
import * as tus from "tus-js-client";

// obey runs until it is told to end. The surroundings have input(order), which
// gives the file as this place knows files, storage(order) for the URLs of
// uploads, reload(), and the clients of this place alone.
export async function obey(base, name, surroundings) {
  let last = Promise.resolve();
  const tell = (event, facts = {}) => {
    const body = JSON.stringify({ event, ...facts });
    last = last.then(() => fetch(`${base}/events?client=${name}`, { method: "POST", body }));
  };
  const client = new Client(tell, surroundings);
  tell("here");
  for (;;) {
    await last; // so that a reload loses nothing that was told
    const answer = await fetch(`${base}/orders?client=${name}`);
    if (answer.status === 204) continue;
    const order = await answer.json();
    if (order.do === "end") return;
    try {
      await (surroundings[order.do] ?? client[order.do].bind(client))(order, tell);
    } catch (error) {
      tell("error", { message: String(error) });
    }
    if (order.do === "reload") return;
  }
}

class Client {
  constructor(tell, surroundings) {
    this.tell = tell;
    this.surroundings = surroundings;
  }

  // start sends order.file with order.options. With order.previous it goes on with
  // what the storage of URLs knows of the file; with order.abortAt it stops by
  // itself once so many bytes have left.
  async start(order) {
    const file = await this.surroundings.input(order);
    this.upload = new tus.Upload(file, {
      ...order.options,
      ...this.surroundings.storage(order),
      ...this.listeners(order),
    });
    if (order.previous) {
      const previous = await this.upload.findPreviousUploads();
      this.tell("previous", { count: previous.length });
      if (previous.length > 0) this.upload.resumeFromPreviousUpload(previous[0]);
    }
    this.upload.start();
  }

  listeners(order) {
    const upload = () => this.upload;
    let { abortAt } = order;
    return {
      onUploadUrlAvailable: () => this.tell("url", { url: upload().url }),
      onProgress: (sent) => {
        if (abortAt === undefined || abortAt === null || sent < abortAt) return;
        abortAt = undefined;
        this.abort({});
      },
      onBeforeRequest: (request) => {
        if (request.getMethod() !== "PATCH") return;
        const sum = order.checksums?.[request.getHeader("Upload-Offset")];
        if (sum) request.setHeader("Upload-Checksum", sum);
      },
      onAfterResponse: (request, answer) =>
        this.tell("answer", {
          method: request.getMethod(),
          status: answer.getStatus(),
          offset: answer.getHeader("Upload-Offset"),
          video: answer.getHeader("Reelflow-Video"),
          expires: answer.getHeader("Upload-Expires"),
        }),
      onError: (error) =>
        this.tell("error", {
          message: String(error.message),
          status: error.originalResponse?.getStatus() ?? 0,
          body: error.originalResponse?.getBody() ?? "",
        }),
      onSuccess: () => this.tell("success", { url: upload().url }),
    };
  }

  async abort(order) {
    await this.upload.abort(Boolean(order.terminate));
    this.tell("aborted");
  }

  resume() {
    this.upload.start();
  }

  async terminate(order) {
    await tus.Upload.terminate(order.url, order.options);
    this.tell("terminated");
  }
}
