// Package e2e holds the tests of the running system: the programs that users
// run, as processes that are killed, frozen and restarted, on a real Temporal
// server, real S3 stores, a real database and real ffmpeg. They judge by bytes:
// what the stores list, what hashes say, what ffprobe reads.
//
// Tests that harm something have a stack of their own; the others share one.
// With SOAK set everything random happens ten times as often and in a larger
// crowd, and follows from another seed each time, which is printed; E2E_SEED takes
// one. With E2E_SHOTS set to a folder the browser leaves pictures of the pages
// there.
//
// clients/ has the tus clients that others wrote, driven by the tests.
package e2e
