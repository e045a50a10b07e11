// Where a video stands, as its page and the upload's page show it: a sentence, the
// three stages, and which server holds what.
import type { Progress, Video } from "./api";
import { make, must, say } from "./dom";
import { capital, moment, part, size, soon } from "./words";

const steps = ["uploading", "processing", "publishing"];

/** The unit in which each step counts; what is said in another is of the step before. */
const units = ["bytes", "segments", "replicas"];

/**
 * Shows all but the sentence, which has different places. sent is what this page
 * has sent by now; unless something moves, a rate would be of before.
 */
export function showStatus(v: Video, sent = 0, moves = true): void {
  const box = document.querySelector<HTMLElement>("#status");
  if (!box) return; // an embedded page
  box.hidden = !v.upload && !v.replicas.length;
  const step = stepOf(v);
  must("#stages").hidden = step < 0;
  steps.forEach((_, i) => showStep(i, step, v, sent, moves));
  const advice = v.ending === null && v.stage !== "pending_deletion" ? v.warnings : []; // of no use to what is being erased
  must("#warnings").replaceChildren(...advice.map((w) => make("li", {}, w)));
  showReplicas(v);
}

/** How many steps are behind the video; -1 when that says nothing any more. */
function stepOf(v: Video): number {
  switch (v.stage) {
    case "uploading":
    case "processing":
    case "publishing":
      return steps.indexOf(v.stage);
    case "reviewing":
    case "scheduled":
      return 2;
    case "draft":
      return complete(v) ? 1 : 0;
    case "published":
      return 3;
    default:
      return -1;
  }
}

/** Every byte of it is stored. */
export const complete = (v: Video) => v.upload !== null && v.upload.length !== null && v.upload.offset >= v.upload.length;

function showStep(i: number, now: number, v: Video, sent: number, moves: boolean): void {
  const item = must(`#stages li:nth-child(${i + 1})`);
  const going = i === now && v.stage === steps[i];
  const state = i < now ? "done" : i > now ? "later" : going && !v.paused ? "now" : "held";
  item.dataset.state = state;
  if (i === now) item.setAttribute("aria-current", "step");
  else item.removeAttribute("aria-current");
  const bar = item.querySelector("progress")!;
  const p = i === now ? measured(i, v, sent) : null;
  if (i < now) [bar.max, bar.value] = [1, 1];
  else if (p && p.total > 0) [bar.max, bar.value] = [p.total, p.done];
  else if (state === "now") bar.removeAttribute("value");
  else bar.value = 0;
  const text = { done: "Done", later: "", now: "Under way", held: v.paused ? "Paused" : "Waiting" }[state];
  item.querySelector(".how")!.textContent = p ? amount(p, state === "now" && moves) : text;
}

/** Progress of the step under way, in its own unit. */
function measured(i: number, v: Video, sent: number): Progress | null {
  if (i === 0 && v.upload) {
    const done = Math.max(v.upload.offset, v.paused ? 0 : sent);
    const bytes = { stage: v.stage, done, total: v.upload.length ?? 0, unit: "bytes" };
    const rate = v.progress?.per_second ?? null;
    return { ...bytes, per_second: rate, eta_seconds: rate && bytes.total ? (bytes.total - done) / rate : null };
  }
  return v.progress && v.progress.unit === units[i] && v.progress.total > 0 ? v.progress : null;
}

function amount(p: Progress, going: boolean): string {
  const bytes = p.unit === "bytes";
  const words = [bytes ? (p.total ? part(p.done, p.total) : size(p.done)) : `${p.done} of ${p.total} ${p.unit}`];
  if (!going) return words[0];
  if (p.per_second && bytes) words.push(`${size(Math.round(p.per_second))}/s`);
  if (p.eta_seconds && p.done < p.total) words.push(`about ${soon(p.eta_seconds)} left`);
  return words.join(" · ");
}

function showReplicas(v: Video): void {
  const box = must("#replicas");
  const replicas = v.replicas;
  box.hidden = !replicas.length;
  say(box.querySelector<HTMLElement>("summary")!, onServers(v));
  box.querySelector("tbody")!.replaceChildren(
    ...replicas.map((r) =>
      make("tr", {},
        make("th", { scope: "row" }, r.store),
        make("td", {}, capital(r.state)),
        make("td", {}, `${r.objects} ${r.objects === 1 ? "object" : "objects"}, ${size(r.bytes)}${r.verified_at ? `, checked ${moment(r.verified_at)}` : ""}`),
      ),
    ),
  );
}

/** What is on the servers, in one line. */
function onServers(v: Video): string {
  const all = v.replicas.length;
  const those = (state: string) => v.replicas.filter((r) => r.state === state).length;
  if (v.stage === "purging") return `Erased on ${those("empty")} of ${all} servers`;
  if (those("complete") === all) return `In full on all ${all} servers`;
  return `${size(v.upload?.offset ?? 0)} stored; in full on ${those("complete")} of ${all} servers`;
}

/** Where the video stands, in a sentence; empty when there is nothing to say. */
export function sentence(v: Video): string {
  const until = (time: string | null, text: string) => (time ? ` ${text} ${moment(time)}.` : "");
  if (v.failure && v.stage === "rejected") {
    const kept = v.actions.includes("restore") ? "It can be restored until" : "Nobody else sees it. Support can bring it back until";
    return `${refusal(v.failure)}${until(v.purge_at, kept)}`;
  }
  if (v.failure) return refusal(v.failure);
  if (v.paused && v.ending === null) {
    const why = v.waiting_for && v.waiting_for !== "a resume" ? ` It waits for ${v.waiting_for}.` : " Nothing runs until it is resumed.";
    return `Paused while ${v.stage}.${why}`;
  }
  if (v.trouble) return `${capital(v.stage.replace("_", " "))}: something went wrong, and is tried again by itself. Nothing is lost.`;
  switch (v.stage) {
    case "uploading":
      return v.upload?.stalled
        ? "No bytes have come for a while. Check the connection of the device that sends it: it goes on from what is stored."
        : "Uploading";
    case "reviewing":
      return v.actions.includes("approve") && !v.upload
        ? "It waits for a review: watch it, then approve or reject it."
        : "Waiting for a review. Until then only its author and the reviewers can watch it.";
    case "scheduled":
      return v.publish_at ? `It will be published at ${moment(v.publish_at)}.` : "It will be published after its delay.";
    case "published":
      return "";
    case "draft":
      return `Kept as a draft.${until(v.purge_at, "It is thrown away at")}`;
    case "canceled":
      return v.actions.includes("restore")
        ? `Canceled. It can be restored${v.purge_at ? ` until ${moment(v.purge_at)}` : ""}.`
        : `Canceled.${until(v.purge_at, "Support can bring it back until")}`;
    case "pending_deletion":
      return `Deleted. Nobody can watch it any more.${until(v.purge_at, "It will be erased from every server at")}`;
    case "purging":
      return leaving(v);
    default:
      return capital(v.stage.replace("_", " "));
  }
}

/** Why a video was not taken, and what a reviewer wrote to its author. */
function refusal(f: NonNullable<Video["failure"]>): string {
  return f.comment ? `${f.message} The reviewer writes: “${f.comment}”` : f.message;
}

/** What is said of a video that nothing is left of. */
export function farewell(v: Video): string {
  if (v.failure) return refusal(v.failure);
  const reasons: Record<string, string> = { deleted: "Deleted.", canceled: "Canceled.", expired: "Expired: no byte came for too long." };
  return reasons[v.ending ?? ""] ?? (v.visible ? "Deleted." : "Canceled.");
}

/** How far it is, for the title of the tab; "" where that says nothing. */
export function short(v: Video, sent = 0): string {
  if (v.ending !== null) return "";
  if (v.paused) return "Paused";
  const step = stepOf(v);
  if (step < 0 || step > 2) return "";
  const p = measured(step, v, sent);
  if (v.stage !== steps[step]) return capital(v.stage);
  return p && p.total > 0 ? `${Math.floor((100 * Math.min(p.done, p.total)) / p.total)} % ${v.stage}` : capital(v.stage);
}

function leaving(v: Video): string {
  const why = { deleted: "Deleted", canceled: "Canceled", rejected: "Rejected", expired: "Expired" }[v.ending ?? ""] ?? "Ended";
  const rest = v.overdue && v.waiting_for ? ` This takes longer than it should: waiting for ${v.waiting_for}.` : "";
  return `${why}. It can't be brought back any more: it is being erased from every server.${rest}`;
}
