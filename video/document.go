package video

import "time"

// Video is a video as the API shows it. What is not known, or not for the
// caller, is null or empty, but always there.
type Video struct {
	ID            ID           `json:"id" doc:"26 lower-case base32 characters, random, never used again"`
	Owner         string       `json:"owner" doc:"The name of its author; empty once erased"`
	Stage         Stage        `json:"stage" doc:"Where it is in its life"`
	Paused        bool         `json:"paused"`
	Ending        *Ending      `json:"ending" doc:"Why its life ends; null while it goes on"`
	Visible       bool         `json:"visible" doc:"The caller may watch it"`
	Held          bool         `json:"held" doc:"Under legal hold; for the owner and operators, as keep_draft, review and reviewers are"`
	WaitingFor    *string      `json:"waiting_for"`
	Overdue       bool         `json:"overdue" doc:"Its erasure takes longer than promised; for the owner and operators, as trouble is"`
	Trouble       bool         `json:"trouble" doc:"Its work fails, or nobody can do it; waiting_for says which"`
	Stray         bool         `json:"stray" doc:"Its workflow was terminated, and it waits for a decision; for operators"`
	Title         string       `json:"title"`
	Caption       string       `json:"caption"`
	Hashtags      []string     `json:"hashtags"`
	Music         string       `json:"music"`
	Visibility    string       `json:"visibility" enum:"public,unlisted,private"`
	AllowDownload bool         `json:"allow_download"`
	KeepDraft     bool         `json:"keep_draft"`
	Review        bool         `json:"review"`
	Reviewers     []string     `json:"reviewers"`
	Protect       bool         `json:"protect"`
	Counts        Interactions `json:"counts"`
	CreatedAt     *time.Time   `json:"created_at"`
	PublishedAt   *time.Time   `json:"published_at"`
	PublishAt     *time.Time   `json:"publish_at"`
	DeletedAt     *time.Time   `json:"deleted_at" doc:"When it was hidden"`
	PurgeAt       *time.Time   `json:"purge_at" doc:"When its grace ends"`
	Progress      *Progress    `json:"progress"`
	Upload        *Upload      `json:"upload" doc:"For the owner and operators"`
	Media         *Media       `json:"media"`
	Renditions    []Rendition  `json:"renditions"`
	Captions      []Captions   `json:"captions" doc:"In which languages it has captions"`
	Replicas      []Replica    `json:"replicas" doc:"For the owner and operators"`
	Warnings      []string     `json:"warnings"`
	Failure       *Rejection   `json:"failure"`
	Actions       []Command    `json:"actions" doc:"What the caller can ask for now with an effect"`
	Links         Links        `json:"links"`
	Revision      int64        `json:"revision" doc:"Grows with every change: of two answers the one with the greater is the newer"`
}

// Captions are in one language.
type Captions struct {
	Language string `json:"language" doc:"A tag of BCP 47"`
	Label    string `json:"label" doc:"The name of the language, in that language"`
}

// Interactions are how often people did something with a
type Interactions struct {
	Likes    int `json:"likes"`
	Comments int `json:"comments"`
	Shares   int `json:"shares"`
}

// Progress is how far the stage is.
type Progress struct {
	Stage     Stage    `json:"stage"`
	Done      int64    `json:"done"`
	Total     int64    `json:"total" doc:"0 while unknown"`
	Unit      string   `json:"unit" enum:"bytes,segments,replicas"`
	PerSecond *float64 `json:"per_second"`
	ETA       *float64 `json:"eta_seconds"`
}

// Upload is how far the bytes have come, and where to send the rest.
type Upload struct {
	URL       *string    `json:"url" doc:"A tus 1.0 upload: it carries its own token; null for an import"`
	Offset    int64      `json:"offset"`
	Length    *int64     `json:"length" doc:"null while the client has not said"`
	ExpiresAt *time.Time `json:"expires_at"`
	Stalled   bool       `json:"stalled"`
}

// Replica is what one store has of a
type Replica struct {
	Store      string     `json:"store"`
	State      string     `json:"state" enum:"pending,copying,complete,behind,purging,empty,unreachable"`
	Objects    int        `json:"objects"`
	Bytes      int64      `json:"bytes"`
	VerifiedAt *time.Time `json:"verified_at"`
	// LockedUntil is when the store's own Object Lock ends, which a purge waits for.
	LockedUntil *time.Time `json:"locked_until,omitempty" doc:"Until when the store keeps something of the video under an Object Lock of its own, which its purge waits for"`
}

// Links are the addresses that belong to a
type Links struct {
	Self     string `json:"self"`
	Events   string `json:"events"`
	Playback string `json:"playback"`
	Receipt  string `json:"receipt"`
	Watch    string `json:"watch"`
	Embed    string `json:"embed"`
}
