// On every page: what this browser keeps belongs to whoever is signed in, and to
// nobody once they have signed out. Other windows of the same browser notice, and
// show nothing of the one who left.
import { forgetOthers, quietly } from "./unfinished";

const signedIn = "reelflow.user";
const top = document.querySelector<HTMLElement>("[data-user]");

if (top) belongTo(top.dataset.user!);

// A page from the back/forward cache may be somebody else's by now.
addEventListener("pageshow", (e) => e.persisted && location.reload());

function belongTo(user: string): void {
  forgetOthers(user);
  quietly(() => (user === "" ? localStorage.removeItem(signedIn) : localStorage.setItem(signedIn, user)), undefined);
  addEventListener("storage", (e) => {
    if (e.key === signedIn && (e.newValue ?? "") !== user) leave();
  });
}

/** Ends what this page does, and lets the server decide what to show instead. */
function leave(): void {
  document.body.hidden = true;
  dispatchEvent(new Event("signedout"));
  location.reload();
}
