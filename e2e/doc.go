// Package e2e holds the tests of the running system: the programs that users
// run, as processes that are killed, frozen and restarted, on a real Temporal
// server, real S3 stores, a real database and real ffmpeg. They judge by bytes:
// what the stores list, what hashes say, what ffprobe reads.
package e2e
