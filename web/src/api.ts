// The part of the HTTP API that the pages use.

export interface Progress {
  stage: string;
  done: number;
  total: number;
  unit: string;
  per_second: number | null;
  eta_seconds: number | null;
}

export interface Upload {
  url: string | null;
  offset: number;
  length: number | null;
  expires_at: string | null;
  stalled: boolean;
}

export interface Replica {
  store: string;
  state: string;
  objects: number;
  bytes: number;
  verified_at: string | null;
}

export interface Video {
  id: string;
  owner: string;
  stage: string;
  paused: boolean;
  ending: string | null;
  visible: boolean;
  overdue: boolean;
  waiting_for: string | null;
  trouble: boolean;
  title: string;
  keep_draft: boolean;
  publish_at: string | null;
  purge_at: string | null;
  progress: Progress | null;
  upload: Upload | null;
  replicas: Replica[];
  warnings: string[];
  failure: { code: string; message: string } | null;
  actions: string[];
}

export interface Playback {
  hls: string;
  poster: string;
  previews: string;
}

/** What the server would not do, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }

  /** Asking again may help. */
  get passing(): boolean {
    return this.status >= 500;
  }
}

/** The server could not be reached. */
export class Unreachable extends Error {
  constructor() {
    super("The server can't be reached. Check your connection and try again.");
  }
}

async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const request: RequestInit = { method, credentials: "same-origin", cache: "no-store", headers };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, request).catch(() => Promise.reject(new Unreachable()));
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said.detail ?? `The server answered ${answer.status}.`);
  return said as T;
}

const at = (id: string) => `/v1/videos/${encodeURIComponent(id)}`;

/** Same-origin form of an address of the API, whatever name this page was opened under. */
export const here = (address: string) => {
  const u = new URL(address, location.href);
  return u.pathname + u.search;
};

export const load = (id: string) => call<Video>("GET", at(id));

export const playback = (id: string) => call<Playback>("GET", `${at(id)}/playback`);

/** Gives a command; details are what it takes beside its name. */
export const ask = (id: string, command: string, details?: unknown) =>
  command === "delete" ? call<Video>("DELETE", at(id)) : call<Video>("POST", `${at(id)}/${command}`, details);

/** Makes a video. However often it is called with one key, it is one video. */
export const create = (video: unknown, key: string) =>
  call<Video>("POST", "/v1/videos", video, { "Idempotency-Key": key });

/** The caller's own videos in a stage, newest first: the first hundred, and whether there are more. */
export async function mine(stage: string): Promise<{ videos: Video[]; all: boolean }> {
  const page = await call<{ videos: Video[]; next_cursor: string | null }>("GET", `/v1/me/videos?stage=${stage}&limit=100`);
  return { videos: page.videos, all: page.next_cursor === null };
}

/**
 * Calls onVideo with the video at each change, and onGone once it can't be seen
 * any more: erased is false if that may be because somebody is signed in no longer.
 * An EventSource that the server refused does not try again by itself:
 * then the reason decides between giving up and trying later.
 */
export function follow(id: string, onVideo: (v: Video) => void, onGone: (erased: boolean) => void): void {
  const events = new EventSource(`${at(id)}/events`);
  events.addEventListener("video", (e) => onVideo(JSON.parse((e as MessageEvent).data)));
  events.addEventListener("gone", (e) => {
    events.close();
    onGone(JSON.parse((e as MessageEvent).data).code === "gone");
  });
  events.addEventListener("error", async () => {
    if (events.readyState !== EventSource.CLOSED) return;
    try {
      onVideo(await load(id));
    } catch (e) {
      if (e instanceof Refused && (e.status === 404 || e.status === 410)) return onGone(e.status === 410);
    }
    setTimeout(() => follow(id, onVideo, onGone), 3000);
  });
}
