import assert from "node:assert/strict";
import { test } from "node:test";
import type { Video } from "../src/api";
import { farewell, sentence, short } from "../src/status";

const video = (different: Partial<Video>): Video => ({
  id: "a", owner: "me", stage: "uploading", paused: false, ending: null, visible: false, overdue: false, held: false, captions: [], waiting_for: null, trouble: false,
  title: "", keep_draft: false, publish_at: null, purge_at: null, progress: null, upload: null, replicas: [], warnings: [], failure: null, actions: [],
  ...different,
});

const upload = { url: "/v1/uploads/x", offset: 25, length: 100, expires_at: null, stalled: false };

test("an author reads what the reviewer wrote", () => {
  const failure = { code: "reviewer", message: "A reviewer did not approve this video.", comment: "The sound is too loud." };
  assert(sentence(video({ stage: "rejected", ending: "rejected", failure })).includes("“The sound is too loud.”"));
  assert(farewell(video({ stage: "purging", ending: "rejected", failure })).includes("“The sound is too loud.”"));
  assert(!sentence(video({ stage: "rejected", ending: "rejected", failure: { ...failure, comment: null } })).includes("writes"));
});

test("a reviewer is told what to do, an author what it waits for", () => {
  assert(sentence(video({ stage: "reviewing", actions: ["approve", "reject"] })).includes("approve or reject"));
  assert(sentence(video({ stage: "reviewing", upload, actions: ["pause", "cancel"] })).includes("Waiting for a review"));
});

test("the title of the tab tells how far it is", () => {
  assert.equal(short(video({ upload })), "25 % uploading");
  assert.equal(short(video({ upload }), 60), "60 % uploading");
  assert.equal(short(video({ upload, paused: true })), "Paused");
  assert.equal(short(video({ upload, stage: "reviewing" })), "Reviewing");
  assert.equal(short(video({ upload, stage: "published" })), "");
  assert.equal(short(video({ upload, ending: "canceled" })), "");
});
