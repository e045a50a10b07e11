package workflows

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Activities is all that a life needs of the outside world. Each is idempotent
// and resumes from what is durable; each writes only under the epoch of its Leg
// and looks into the ledger first, so that a worker that was frozen, or a
// workflow that was reset, can't write into a later leg or bring back what was
// erased.
//
// A refusal because of a later epoch fails with video.Conflict, one because the
// life is ending or erased with video.Gone, one because neither catalog nor ledger
// knows the video with video.NotFound. All three are final for the activity, but the
// last is never an end of the life: what was read may come from the wrong place.
// Whatever may pass is video.Unavailable or video.Internal and is retried.
type Activities interface {
	// Control writes what was asked of the life, and where it now stands, into
	// the control row and the catalog: it fences every leg below Epoch, tells the
	// gateways to end a transfer, and returns the row as it now stands once no
	// gateway holds the upload any more. It never lowers an epoch and never takes
	// back a deletion.
	Control(context.Context, ControlInput) (ControlRow, error)
	// ReadControl returns the row as Control does, and writes nothing: a row that is not
	// above the epoch stays as it is.
	ReadControl(context.Context, Leg) (ControlRow, error)
	// CheckUpload says how far the upload is, and shows readers whether it has stalled.
	CheckUpload(context.Context, CheckInput) (UploadState, error)
	// Import fetches what is missing of a video from the address that its author
	// gave, or says why it can't be had from there.
	Import(context.Context, Leg) (Imported, error)

	// CopyAhead copies to the backups what is stored so far: of an upload that still
	// arrives, or all of a video that waits to be published.
	CopyAhead(context.Context, CopyInput) error

	// SealUpload checks that the manifest holds every byte of the upload, and
	// closes it.
	SealUpload(context.Context, Leg) (Sealed, error)
	// MergeUpload makes few segments of an upload that lies in many short ones.
	MergeUpload(context.Context, Leg) error
	// Probe looks at what was uploaded and plans the work, or says why it is refused.
	Probe(context.Context, Leg) (Probed, error)
	// EncodePiece encodes one piece in every rendition.
	EncodePiece(context.Context, PieceInput) (Probed, error)
	// EncodeAudio encodes the sound, whole.
	EncodeAudio(context.Context, Leg) (Probed, error)
	// Package joins the pieces into encrypted HLS segments, makes poster and
	// previews, and drops the pieces.
	Package(context.Context, Leg) (Probed, error)

	// CopyReplica brings one backup store up to the manifest.
	CopyReplica(context.Context, StoreInput) error
	// Publish makes the video visible everywhere at one moment, if the primary and each
	// backup hold all that the plan asks for.
	Publish(context.Context, PublishInput) error

	// Hide makes the video invisible, for a deletion, and says since when it is and
	// until when its grace runs.
	Hide(context.Context, HideInput) (Hidden, error)
	// DestroyKey commits the ledger's record of the erasure, then destroys the
	// key. After it there is no way back. Of a video that neither catalog nor ledger
	// knows it fails with NotFound, unless a person asked for the deletion.
	DestroyKey(context.Context, DestroyInput) error
	// PurgeReplica erases everything of the video from one store.
	PurgeReplica(context.Context, StoreInput) error
	// CloseReceipt lists every store once more, completes the ledger there,
	// forgets the video in the catalog and returns the receipt. A store where
	// anything is found again fails with video.Conflict, so that it is purged again.
	CloseReceipt(context.Context, DestroyInput) (video.ReceiptSummary, error)
}

// Leg identifies one stretch of work; every durable write is fenced by Epoch.
type Leg struct {
	ID    video.ID `json:"id"`
	Epoch int64    `json:"epoch"`
}

// ControlInput is what has been asked of a life, and what readers of the catalog
// are to see of it.
type ControlInput struct {
	Leg
	video.State
	// Fences says that the epoch is new: a row that has it already was written by another
	// run, unless it says the same.
	Fences  bool `json:"fences,omitempty"`
	Draft   bool `json:"draft,omitempty"` // kept; not to be written to until it is taken up again
	Refused int  `json:"refused,omitempty"`
	// DecidedBy is the reviewer who has approved or rejected the video, opaque.
	DecidedBy string `json:"decided_by,omitempty"`
	// WasDraft says that the cancel threw a draft away, to which restore leads back.
	WasDraft bool `json:"was_draft,omitempty"`
	// HoldSaid says that Held was asked for; otherwise a legal hold is the row's to tell.
	HoldSaid   bool      `json:"hold_said,omitempty"`
	WaitingFor string    `json:"waiting_for,omitempty"`
	Overdue    bool      `json:"overdue,omitempty"`
	Trouble    bool      `json:"trouble,omitempty"`
	Stray      bool      `json:"stray,omitempty"`
	PublishAt  time.Time `json:"publish_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	// Rejection is why the video is rejected; nil takes what was said back.
	Rejection *video.Rejection `json:"rejection,omitempty"`
}

// ControlRow is the control row as it stands afterwards.
type ControlRow struct {
	Epoch  int64        `json:"epoch"`
	Ending video.Ending `json:"ending,omitempty"`
	// Erased: only the ledger knows the video. Unknown: neither catalog nor ledger
	// knows it, which may be the catalog's fault.
	Erased  bool `json:"erased,omitempty"`
	Unknown bool `json:"unknown,omitempty"`
	Held    bool `json:"held,omitempty"`
	// Further is set when the row's epoch is above the one asked for, as after a reset
	// or when Temporal was restored from a backup: where the life really stands.
	Further *video.Carried `json:"further,omitempty"`
}

// CheckInput asks how far an upload is. Without a byte for Stall, counted from
// Since where none has come later, it has stalled.
type CheckInput struct {
	Leg
	Since time.Time     `json:"since"`
	Stall time.Duration `json:"stall"`
}

// UploadState is how far an upload is.
type UploadState struct {
	Complete   bool      `json:"complete"`
	Stalled    bool      `json:"stalled"`
	Offset     int64     `json:"offset"`
	LastByteAt time.Time `json:"last_byte_at"`
}

// Imported is the outcome of an import: all of it is stored, or it is refused.
type Imported struct {
	Rejected *video.Rejection `json:"rejected,omitempty"`
}

// Importing is what people are told that a video waits for while it is fetched.
const Importing = "the rest of the import"

// Sealed is a finished upload.
type Sealed struct {
	Bytes    int64            `json:"bytes"`
	Segments int              `json:"segments"`
	Rejected *video.Rejection `json:"rejected,omitempty"`
	// ShortSegments says that the upload lies in many short segments, to be merged.
	ShortSegments bool `json:"short_segments,omitempty"`
}

// Probed is the outcome of looking at the media: a plan, or a rejection.
type Probed struct {
	Plan     video.Plan       `json:"plan,omitzero"`
	Rejected *video.Rejection `json:"rejected,omitempty"`
}

// PieceInput names one piece of the plan, counted from 0.
type PieceInput struct {
	Leg
	Piece int `json:"piece"`
}

// StoreInput names one store.
type StoreInput struct {
	Leg
	Store string `json:"store"`
}

// CopyInput asks for copies in the backups. Whole says that the video is complete, so
// that a replica which has all of it is complete too.
type CopyInput struct {
	Leg
	Whole bool `json:"whole,omitempty"`
}

// PublishInput names the backups that must have all of the video.
type PublishInput struct {
	Leg
	Backups []string `json:"backups,omitempty"`
}

// HideInput says when the workflow heard of a deletion, and how long its grace is.
// Asked says that a person did: then a video that the catalog doesn't know is no
// obstacle.
type HideInput struct {
	Leg
	HiddenAt time.Time     `json:"hidden_at"`
	Grace    time.Duration `json:"grace"`
	Asked    bool          `json:"asked,omitempty"`
}

// Hidden says since when a video is hidden, which may be earlier than the workflow
// heard of it, and when its grace ends.
type Hidden struct {
	HiddenAt time.Time `json:"hidden_at"`
	PurgeAt  time.Time `json:"purge_at"`
}

// DestroyInput says why a life ends. Asked says that a person asked for it.
//
// Stores are those of the life: they are verified whatever a worker's settings say.
type DestroyInput struct {
	Leg
	Stores   []string     `json:"stores,omitempty"`
	Reason   video.Ending `json:"reason"`
	HiddenAt time.Time    `json:"hidden_at"`
	Asked    bool         `json:"asked,omitempty"`
	// DueAt is when the erasure is to be complete; zero where there is no limit.
	DueAt time.Time `json:"due_at,omitzero"`
}
