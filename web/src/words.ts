// Numbers and times as people read them.

/** 8.4 MB: decimal, as the limits are said. */
export function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} bytes`;
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** 4.2 of 8.4 MB */
export function part(done: number, total: number): string {
  const [whole, unit] = size(total).split(" ");
  if (unit !== "MB") return `${size(done)} of ${whole} ${unit}`;
  return `${(done / 1e6).toFixed(1)} of ${whole} MB`;
}

/** 1:05, from seconds: a length. */
export function length(seconds: number): string {
  const whole = Math.round(seconds);
  const rest = String(whole % 60).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** about 2 min: how long something will take. */
export function soon(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.ceil(seconds))} s`;
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.ceil(seconds / 3600)} h`;
}

/** A point in time, in the reader's own zone, which is named where it is not today. */
export function moment(time: string): string {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return today
    ? at.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" })
    : at.toLocaleString([], { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit", timeZoneName: "short" });
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
