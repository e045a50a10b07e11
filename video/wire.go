package video

import "time"

// Names of the workflow that outsiders rely on. Signals and updates are named by
// the commands.
const (
	LifecycleWorkflow = "Lifecycle"
	StatusQuery       = "status"

	// UploadedSignal is the gateway's word that every byte has been stored. It
	// carries no payload, and sending it twice is harmless.
	UploadedSignal = "uploaded"

	// RereadSignal is the audit's word that the run shows another stage than the video's
	// rows, as after a reset or a restore of Temporal: the run reads them and goes where they
	// stand, if that is further. It carries no payload, and sending it twice is harmless.
	RereadSignal = "reread"

	// RequestHeader is the header under which the id of the request travels that a command
	// came with: a JSON string, for logs.
	RequestHeader = "request-id"

	ControlQueue  = "reelflow-control"
	TransferQueue = "reelflow-transfer"
	MediaQueue    = "reelflow-media"

	// StickyTimeout is how long a workflow task is left to the worker that has the workflow
	// in memory, before any worker may take it. A task that lies longer in its queue is one
	// that no worker takes.
	StickyTimeout = 2 * time.Second

	// Search attributes: two of type Keyword, three Bool.
	StageAttribute   = "VideoStage"
	OwnerAttribute   = "VideoOwner"
	PausedAttribute  = "VideoPaused"
	OverdueAttribute = "VideoOverdue"
	TroubleAttribute = "VideoTrouble"
)

// CommandRequest is the optional payload of signals and updates. Like everything that
// goes into Temporal it names nobody: what a reviewer writes stays in the catalog.
type CommandRequest struct {
	KeepDraft bool   `json:"keep_draft,omitempty"` // cancel only: keep the video as a draft
	By        string `json:"by,omitempty"`         // approve and reject: who decides, opaque
}

// CommandBody is what an HTTP client may say with a command.
type CommandBody struct {
	KeepDraft bool   `json:"keep_draft,omitempty" doc:"With cancel: keep it as a draft"`
	Comment   string `json:"comment,omitempty" maxLength:"2000" doc:"With reject: why, for the author"`
}

// Policy holds the durations that govern a life. They travel with the workflow,
// so a later change of settings does not change a promise already made.
type Policy struct {
	DeleteGrace  time.Duration `json:"delete_grace"`  // from hidden to the purge
	OverdueAfter time.Duration `json:"overdue_after"` // a purge longer than this is reported
	CancelGrace  time.Duration `json:"cancel_grace"`  // how long operators can restore
	DraftTTL     time.Duration `json:"draft_ttl"`
	RejectedTTL  time.Duration `json:"rejected_ttl"` // how long the reason can be read
	UploadStall  time.Duration `json:"upload_stall"`
	UploadIdle   time.Duration `json:"upload_idle"` // without a byte for this long an upload expires
	PublishDelay time.Duration `json:"publish_delay"`
}

// LifecycleInput starts a Lifecycle. It holds ids and settings only: nothing
// that names a person or a video goes into Temporal.
type LifecycleInput struct {
	ID        ID        `json:"id"`
	Owner     string    `json:"owner"` // opaque
	Primary   string    `json:"primary"`
	Backups   []string  `json:"backups"`
	Policy    Policy    `json:"policy"`
	Review    bool      `json:"review,omitempty"`
	PublishAt time.Time `json:"publish_at,omitzero"`
	KeepDraft bool      `json:"keep_draft,omitempty"` // a cancel without a payload keeps a draft
	Import    bool      `json:"import,omitempty"`     // the bytes are fetched from an address, which stays out of here

	// Carried is what an earlier run handed over, or what the catalog says of a life
	// whose run was lost; nil in the first.
	Carried *Carried `json:"carried,omitempty"`
}

// Carried is all that a life keeps when it goes on in another run: handed over by
// continue-as-new, or told from the catalog's rows where a run was lost or is behind
// them.
type Carried struct {
	State
	Epoch    int64         `json:"epoch"`
	Refused  int           `json:"refused,omitempty"`
	Plan     Plan          `json:"plan,omitzero"`
	Uploaded bool          `json:"uploaded,omitempty"` // the gateway said that every byte is stored
	Waited   time.Duration `json:"waited,omitempty"`   // how much of the publish delay is over
	Stray    bool          `json:"stray,omitempty"`    // its run was terminated; a person decides

	DecidedBy string `json:"decided_by,omitempty"` // the reviewer who has approved or rejected it, opaque

	// Of a life that was set aside, or is on its way out.
	ResumeStage Stage      `json:"resume_stage,omitempty"` // where resume or restore leads
	WasDraft    bool       `json:"was_draft,omitempty"`    // the cancel threw a draft away
	ExpiresAt   time.Time  `json:"expires_at,omitzero"`    // of the draft, or of the grace
	Rejection   *Rejection `json:"rejection,omitempty"`
	HiddenAt    time.Time  `json:"hidden_at,omitzero"`
	PurgeAt     time.Time  `json:"purge_at,omitzero"` // end of the grace of a deletion
	Asked       bool       `json:"asked,omitempty"`   // a person asked for the deletion

	// Of a life whose work fails.
	TroubleSince time.Time `json:"trouble_since,omitzero"`
}

// Plan is how the media work of a video is cut.
type Plan struct {
	Pieces     int  `json:"pieces"`
	Renditions int  `json:"renditions"`
	Audio      bool `json:"audio"`
}

// Status answers the query `status` and every update. Every field is always
// there: clients that know only the contract look for them.
type Status struct {
	ID         ID                   `json:"id"`
	Stage      Stage                `json:"stage"`
	Paused     bool                 `json:"paused"`
	Ending     Ending               `json:"ending"`
	WaitingFor string               `json:"waiting_for"`
	Actions    []Command            `json:"actions"`
	Deadlines  map[string]time.Time `json:"deadlines"` // publish_at, purge_at, expires_at, overdue_at
	Done       int                  `json:"done"`
	Total      int                  `json:"total"`
	Refused    int                  `json:"refused"` // signals that were refused
}

// Counts are the things an S3 listing shows of a video.
type Counts struct {
	Objects       int `json:"objects"`
	Versions      int `json:"versions"`
	DeleteMarkers int `json:"delete_markers"`
	Multiparts    int `json:"multiparts"`
}

// Empty reports whether a listing showed nothing at all.
func (c Counts) Empty() bool { return c == Counts{} }

// Rejection is why a video was refused, in words for its author.
type Rejection struct {
	Code    string `json:"code"` // not_a_video, damaged, too_long, unsupported, moderation, reviewer
	Message string `json:"message"`
	Comment string `json:"comment,omitempty" doc:"What the reviewer wrote"`          // rests sealed; see catalog.Note
	Log     string `json:"log,omitempty" doc:"What ffmpeg said last, for operators"` // the same
}

// Names of the audit: a workflow that a schedule of the same id runs.
const (
	AuditWorkflow = "Audit"
	AuditSchedule = "audit"
)
