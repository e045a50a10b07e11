// The captions under a player. They are files of their own, which the browser shows itself: its
// menu has them, and one button, with a choice where there are several languages, stands on the
// page. What somebody has chosen holds for the next video, too.
import { make } from "./dom";

interface File {
  language: string;
  label: string;
  url: string;
}

const remembered = "captions"; // a language, or "" for none

export class ShownCaptions {
  private readonly box = document.querySelector<HTMLElement>("#captions"); // not in an embedded page
  private readonly button = make("button", { type: "button" }, "Captions");
  private readonly choice = make("select");
  private files: File[] = [];
  private wanted = ""; // the language that is to be shown

  constructor(private readonly video: HTMLVideoElement) {
    this.choice.setAttribute("aria-label", "Language of the captions");
    this.button.addEventListener("click", () => this.show(this.shown() ? "" : this.choice.value));
    this.choice.addEventListener("change", () => this.show(this.choice.value));
    this.box?.append(this.button, this.choice);
    video.textTracks.addEventListener("change", () => this.reflect()); // by the browser's own menu
    this.reflect();
  }

  /** Offers these files in place of those before. */
  offer(files: File[]): void {
    if (JSON.stringify(files) === JSON.stringify(this.files)) return;
    const wanted = this.files.length > 0 ? this.wanted : stored();
    this.files = files;
    this.video.querySelectorAll("track").forEach((t) => t.remove());
    this.video.append(...files.map((f) => make("track", { kind: "subtitles", src: f.url, srclang: f.language, label: f.label })));
    this.choice.replaceChildren(...files.map((f) => make("option", { value: f.language }, f.label)));
    this.turn(wanted);
  }

  /** Somebody has chosen. */
  private show(language: string): void {
    try {
      localStorage.setItem(remembered, language);
    } catch {
      // a browser that keeps nothing: it holds for this page
    }
    this.turn(language);
  }

  private turn(language: string): void {
    this.wanted = language;
    // A browser that plays HLS by itself has each twice: of the page and of the playlist.
    const one = this.tracks().find((t) => t.language === language);
    for (const t of this.tracks()) t.mode = t === one ? "showing" : "disabled";
    this.reflect();
  }

  private tracks = (): TextTrack[] => [...this.video.textTracks].filter((t) => t.kind === "subtitles");

  private shown = (): TextTrack | undefined => this.tracks().find((t) => t.mode === "showing");

  private reflect(): void {
    // Beside one that is shown, browsers turn on a new one in a language that they prefer.
    if (this.tracks().filter((t) => t.mode === "showing").length > 1) return this.turn(this.wanted);
    const now = this.shown();
    if (this.files.length > 0) this.wanted = now?.language ?? "";
    this.button.setAttribute("aria-pressed", String(now !== undefined));
    if (now) this.choice.value = now.language;
    this.choice.hidden = this.files.length < 2;
    if (this.box) this.box.hidden = this.files.length === 0;
  }
}

function stored(): string {
  try {
    return localStorage.getItem(remembered) ?? "";
  } catch {
    return "";
  }
}
