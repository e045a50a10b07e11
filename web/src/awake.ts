// Keeps the screen on while something is sent: with the screen, a phone switches off the network.

let wanted = false;
let held: WakeLockSentinel | null = null;

/** Wants the screen on, or no more. Where the browser can't or won't do it, nothing happens. */
export function keepAwake(on: boolean): void {
  if (wanted === on) return;
  wanted = on;
  if (on) void acquire();
  else void held?.release().catch(() => {});
}

async function acquire(): Promise<void> {
  if (document.hidden || !("wakeLock" in navigator)) return;
  const lock = await navigator.wakeLock.request("screen").catch(() => null);
  if (lock && !wanted) void lock.release().catch(() => {});
  else held = lock;
}

// The browser takes it back when the page is hidden.
if (typeof document !== "undefined") document.addEventListener("visibilitychange", () => wanted && void acquire());
