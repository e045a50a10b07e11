// Package e2e holds the tests of the running system: the programs that users
// run, as processes that are killed, frozen and restarted, on a real Temporal
// server, real S3 stores, a real database and real ffmpeg. They judge by bytes:
// what the stores list, what hashes say, what ffprobe reads.
//
// Tests that harm something have a stack of their own; the others share one.
// With SOAK set a video is paused a hundred times instead of ten; with E2E_SHOTS
// set to a folder the browser leaves pictures of the pages there.
package e2e
