// Package media looks at uploads and turns them into what is played: it probes,
// encodes a ladder of renditions in pieces, packages the pieces as MPEG-TS
// segments for HLS, and makes posters and scrubbing previews. It consists of
// pure builders of ffprobe and ffmpeg argument lists and one Runner, the only
// place where a program meets bytes from strangers.
//
// One video is planned once, by Probe, Ladder and Pieces; the plan is data that
// the caller keeps, so that every worker cuts alike. Pieces and the sound can then be
// encoded side by side, anywhere, again and again: the same call gives the same
// result and leaves nothing behind. All pieces together with the sound are also the full
// decode check, for broken data ends a call with a Rejection.
//
// Players show whatever comes: frames that change their size, shape, fields or colours in
// mid-stream, sound that changes its channels. So frames pass one filter that copes with
// any change, first, and leave it fitted into a canvas that is chosen for the whole (upright);
// sound is decoded by a program of its own, whose filters may be set up anew (encodeAudio).
// What is made is BT.709, high dynamic range included (Colour), and -14 LUFS.
//
// A rejection destroys the upload, so it takes evidence: words of ffmpeg that speak of
// the data and not of the machine (ExitError), and a machine that at the same moment
// can do the same with a sample of its own (SelfTest, and a part of it before each
// rejection). Everything else is Unavailable.
//
// What exists while a job runs: a program in a box of its own (internal/sandbox), which reads neither
// vault, catalog, credentials nor environment; an HTTP server that hands it the decrypted input, on
// the loopback address of its box or, where there is none, of this machine, an unguessable path being
// its only door; and a private directory in memory (Runner.Scratch, names begin with
// "reelflow-media-", locked as long as its process lives). Both go when the job
// ends, however it ends; a directory whose process was killed goes with the
// next Sweep, the program itself at once. Nothing is kept elsewhere.
package media
