package video

import "time"

// Receipt is the proof of an erasure. It names no
// person and no video: only the SHA-256 of the id.
type Receipt struct {
	// JWS is all of this but Reappeared, signed by the key that its header names (RFC 7515,
	// section 3.1; RFC 8037, section 3.1). Empty on receipts older than signatures.
	JWS string `json:"jws,omitempty"`

	VideoSHA256    string         `json:"video_sha256" doc:"Hex SHA-256 of the video's id"`
	Reason         Ending         `json:"reason"`
	Requested      Request        `json:"requested"`
	HiddenAt       time.Time      `json:"hidden_at"`
	KeyDestroyedAt time.Time      `json:"key_destroyed_at"`
	Technique      Technique      `json:"technique"`
	Stores         []StoreReceipt `json:"stores"`
	Validation     Validation     `json:"validation"`
	Exceptions     []Exception    `json:"exceptions" doc:"What is kept, on what basis and until when"`
	Told           []Told         `json:"told" doc:"Who was told of the erasure, as caches; none of them is asked yet"`
	OutOfReach     []string       `json:"out_of_reach" doc:"What no purge can reach"`
	Release        string         `json:"release" doc:"Of the worker that listed every store and closed the receipt"`
	ClosedAt       time.Time      `json:"closed_at"`

	// Reappeared is what was found after the receipt was closed, and erased again.
	Reappeared []Reappearance `json:"reappeared,omitempty" doc:"What stores were found to hold again later, as after a store was restored from a backup; not signed"`
}

// ReceiptSummary is the result of a Lifecycle: what was erased, when and where. It rests in the
// history twice, so it is short; the receipt itself is kept by the catalog.
type ReceiptSummary struct {
	VideoSHA256    string         `json:"video_sha256"`
	Reason         Ending         `json:"reason"`
	HiddenAt       time.Time      `json:"hidden_at"`
	KeyDestroyedAt time.Time      `json:"key_destroyed_at"`
	Stores         []StoreSummary `json:"stores"`
}

// StoreSummary is the part of StoreReceipt that counts.
type StoreSummary struct {
	Store      string `json:"store"`
	Removed    Counts `json:"removed"`
	FoundAfter Counts `json:"found_after"`
}

// Summary returns the summary of the receipt.
func (r Receipt) Summary() ReceiptSummary {
	s := ReceiptSummary{VideoSHA256: r.VideoSHA256, Reason: r.Reason, HiddenAt: r.HiddenAt, KeyDestroyedAt: r.KeyDestroyedAt}
	for _, of := range r.Stores {
		s.Stores = append(s.Stores, StoreSummary{of.Store, of.Removed, of.FoundAfter})
	}
	return s
}

// Completed returns the receipt with what those of earlier releases lack: lists that are empty
// instead of none, and the ground.
func (r Receipt) Completed() Receipt {
	if r.Requested.Ground == "" {
		r.Requested.Ground = r.Reason
	}
	if r.Stores == nil {
		r.Stores = []StoreReceipt{}
	}
	if r.Validation.Checks == nil {
		r.Validation.Checks = []Check{}
	}
	if r.Exceptions == nil {
		r.Exceptions = []Exception{}
	}
	if r.Told == nil {
		r.Told = []Told{}
	}
	if r.OutOfReach == nil {
		r.OutOfReach = []string{}
	}
	return r
}

// Request is what an erasure began with.
type Request struct {
	Role       string    `json:"role" doc:"Who asked: author, operator, reviewer; gate, where the file was refused; retention, where a time ran out; unknown, where the catalog was lost"`
	Channel    string    `json:"channel" doc:"By which way: api, temporal (a signal or cancel by a Temporal client), or rule"`
	Ground     Ending    `json:"ground"`
	ReceivedAt time.Time `json:"received_at"`
	DueAt      time.Time `json:"due_at,omitzero" doc:"When the erasure was to be complete; missing where no limit is set"`
}

// In which role somebody, or something, ended the life of a video. Who it was stays unsaid.
const (
	AskedByAuthor    = "author"
	AskedByOperator  = "operator"
	AskedByReviewer  = "reviewer"
	AskedByGate      = "gate"
	AskedByRetention = "retention"
	AskedByUnknown   = "unknown" // the catalog was lost
)

// The ways by which an erasure can be asked for.
const (
	ChannelAPI      = "api"
	ChannelTemporal = "temporal"
	ChannelRule     = "rule"
	ChannelUnknown  = "unknown"
)

// Technique is how all copies were made unreadable, those that nobody can reach included.
type Technique struct {
	Name   string `json:"name" doc:"As in NIST SP 800-88r2"`
	Cipher string `json:"cipher"`
	Vault  string `json:"vault" doc:"Home of the key: file or postgres"`
	// NothingOpensAfter is the moment after which no older root of the vault exists, so that
	// no copy of the vault opens anything of the video.
	NothingOpensAfter time.Time `json:"nothing_opens_after" doc:"From when on no older copy of the key vault opens anything of the video"`
}

// StoreReceipt says what was erased from one store and what an independent
// listing found there afterwards.
type StoreReceipt struct {
	Store      string    `json:"store"`
	Removed    Counts    `json:"removed"`
	FoundAfter Counts    `json:"found_after" doc:"By a listing of all versions, delete markers and unfinished uploads, apart from the purge's own"`
	VerifiedAt time.Time `json:"verified_at" doc:"When that listing was made"`
}

// Validation says whether the erasure has its effect, apart from whether it was carried out.
type Validation struct {
	Result  string  `json:"result" doc:"passed, failed, or not made"`
	Why     string  `json:"why,omitempty"`
	Address string  `json:"address,omitempty" doc:"Where the video was asked for, as people ask"`
	Checks  []Check `json:"checks"`
}

// The results of a validation.
const (
	ValidationPassed  = "passed"
	ValidationFailed  = "failed"
	ValidationNotMade = "not made"
)

// Check is one part of a validation. What names no video: {id} stands for it.
type Check struct {
	What   string    `json:"what"`
	Answer string    `json:"answer"`
	Passed bool      `json:"passed"`
	At     time.Time `json:"at"`
}

// Exception is something that is kept.
type Exception struct {
	What  string     `json:"what"`
	Basis string     `json:"basis"`
	Until *time.Time `json:"until" doc:"null where there is no date"`
}

// Told is somebody who was told of an erasure.
type Told struct {
	Who    string    `json:"who"`
	Answer string    `json:"answer"`
	At     time.Time `json:"at"`
}

// Reappearance is something of an erased video that a store held again.
type Reappearance struct {
	Store    string     `json:"store"`
	Found    Counts     `json:"found"`
	FoundAt  time.Time  `json:"found_at"`
	ErasedAt *time.Time `json:"erased_at,omitempty" doc:"Missing until the store was found empty again"`
}
