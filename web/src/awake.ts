// Keeps the screen on while something is sent: with the screen, a phone switches off the network.

let wanted = false;
let asking = false; // the browser has not answered yet
let held: WakeLockSentinel | null = null;

/** Wants the screen on, or no more. Where the browser can't or won't do it, nothing happens. */
export function keepAwake(on: boolean): void {
  if (wanted === on) return;
  wanted = on;
  if (on) void acquire();
  else release();
}

/** Asks for one lock: one more would stay when the other is given back. */
async function acquire(): Promise<void> {
  if (asking || (held && !held.released) || document.hidden || !("wakeLock" in navigator)) return;
  asking = true;
  held = await navigator.wakeLock.request("screen").catch(() => null);
  asking = false;
  if (!wanted) release();
}

function release(): void {
  void held?.release().catch(() => {});
  held = null;
}

// The browser takes it back when the page is hidden.
if (typeof document !== "undefined") document.addEventListener("visibilitychange", () => wanted && void acquire());
