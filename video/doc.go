// Package video holds the nouns of reelflow and its wire contract: what a video
// is called, the stages of its life, the one table of commands by stage, the
// names and payloads of its Temporal workflow, and the errors that cross
// package borders. Every other package may import it; it imports only the
// standard library.
package video
