// The part of the HTTP API that the pages use.

export interface Progress {
  done: number;
  total: number;
  unit: string;
  per_second: number | null;
  eta_seconds: number | null;
}

export interface Video {
  id: string;
  owner: string;
  stage: string;
  paused: boolean;
  ending: string | null;
  visible: boolean;
  title: string;
  progress: Progress | null;
  failure: { code: string; message: string } | null;
  purge_at: string | null;
  actions: string[];
}

export interface Playback {
  hls: string;
  poster: string | null;
}

export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

async function call<T>(method: string, path: string): Promise<T> {
  const answer = await fetch(path, { method, credentials: "same-origin", cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail ?? `The server answered ${answer.status}.`);
  return body as T;
}

const at = (id: string) => `/v1/videos/${encodeURIComponent(id)}`;

export const load = (id: string) => call<Video>("GET", at(id));

export const playback = (id: string) => call<Playback>("GET", `${at(id)}/playback`);

export const ask = (id: string, command: string) =>
  command === "delete" ? call<Video>("DELETE", at(id)) : call<Video>("POST", `${at(id)}/${command}`);

/**
 * Calls onVideo with the video at each change, and onGone once it can't be seen
 * any more. An EventSource that the server refused does not try again by itself:
 * then the reason decides between giving up and trying later.
 */
export function follow(id: string, onVideo: (v: Video) => void, onGone: () => void): void {
  const events = new EventSource(`${at(id)}/events`);
  events.addEventListener("video", (e) => onVideo(JSON.parse((e as MessageEvent).data)));
  events.addEventListener("gone", () => {
    events.close();
    onGone();
  });
  events.addEventListener("error", async () => {
    if (events.readyState !== EventSource.CLOSED) return;
    try {
      onVideo(await load(id));
    } catch (e) {
      if (e instanceof Refused && (e.status === 404 || e.status === 410)) return onGone();
    }
    setTimeout(() => follow(id, onVideo, onGone), 3000);
  });
}
