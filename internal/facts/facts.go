// Package facts keeps beside a published video, in every store, what the catalog knows
// of it, and makes the rows of a lost catalog from that.
//
// What exists, where, and when it goes: one object a video, v/<id>/facts/<generation>-<random>,
// written at publication and again when something of it changes; the older ones are
// deleted then, and the last goes with the purge of the video. It is sealed under the
// video's key, all of it: whoever has the store learns nothing from it, it opens under no
// other key and no other name, and it dies with the key.
//
// Facts say of what objects the video consists, and not where these lie: Rebuild lists
// the stores. So the same facts are right in every store, also where one was added or left
// since. Of several, in one store or in different ones, those of the highest generation
// count.
package facts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// format is the version of Facts that this release writes. A reader refuses a higher one.
const format = 1

// Facts are all that has to be known of a published video. A zero time means that it has
// not come to that. Progress, troubles and what waits for an answer are left out: the
// run tells them anew.
type Facts struct {
	Format     int      `json:"format"`
	ID         video.ID `json:"id"`
	Generation int64    `json:"generation"` // grows with every change: the revision of the row that the facts are of
	Epoch      int64    `json:"epoch"`

	Stage         video.Stage     `json:"stage"` // published or pending_deletion
	Held          bool            `json:"held,omitempty"`
	Decisions     []video.Command `json:"decisions,omitempty"`
	DecidedBy     string          `json:"decided_by,omitempty"`
	Owner         string          `json:"owner"`
	Sealed        []byte          `json:"sealed,omitempty"` // people's words, as in the row: sealed once more
	Visibility    string          `json:"visibility"`
	AllowDownload bool            `json:"allow_download,omitempty"`
	KeepDraft     bool            `json:"keep_draft,omitempty"`
	Review        bool            `json:"review,omitempty"`
	PublishDelay  *time.Duration  `json:"publish_delay,omitempty"`
	Import        bool            `json:"import,omitempty"`
	Media         []byte          `json:"media,omitempty"`
	Renditions    []byte          `json:"renditions,omitempty"`
	Warnings      []string        `json:"warnings,omitempty"`
	CreatedAt     time.Time       `json:"created_at,omitzero"`
	PublishAt     time.Time       `json:"publish_at,omitzero"`
	PublishedAt   time.Time       `json:"published_at,omitzero"`
	HiddenAt      time.Time       `json:"hidden_at,omitzero"`
	PurgeAt       time.Time       `json:"purge_at,omitzero"`

	Upload  Upload   `json:"upload"`
	Objects []Object `json:"objects"`
}

// Upload is what stays of a finished upload.
type Upload struct {
	TokenHash      []byte        `json:"token_hash"`
	Bytes          int64         `json:"bytes"`
	Sealed         []byte        `json:"sealed,omitempty"`
	HashState      []byte        `json:"hash_state,omitempty"`
	SHA256         []byte        `json:"sha256,omitempty"`
	ExpectedSHA256 []byte        `json:"expected_sha256,omitempty"`
	Idle           time.Duration `json:"idle,omitempty"`
	LastByteAt     time.Time     `json:"last_byte_at,omitzero"`
	ExpiresAt      time.Time     `json:"expires_at,omitzero"`
	FinishedAt     time.Time     `json:"finished_at,omitzero"`
}

// Object is one object of the video, as it lies under the same key in every store.
type Object struct {
	Key       string    `json:"key"`
	Kind      string    `json:"kind"`
	Rendition string    `json:"rendition,omitempty"`
	Index     int       `json:"index,omitempty"`
	Offset    int64     `json:"offset,omitempty"`
	PlainSize int64     `json:"plain_size,omitempty"`
	Size      int64     `json:"size"`
	SHA256    []byte    `json:"sha256"`
	IV        []byte    `json:"iv,omitempty"`
	Duration  float64   `json:"duration,omitempty"`
	Epoch     int64     `json:"epoch,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Of are the facts of a video by its rows, without a generation: stored is what the
// manifest has of it in one store that has all of it.
func Of(v catalog.Video, epoch int64, u catalog.Upload, stored []catalog.Object) Facts {
	f := Facts{
		Format: format, ID: v.ID, Epoch: epoch,
		Stage: v.Stage, Held: v.Held, Decisions: v.Decisions, DecidedBy: v.DecidedBy,
		Owner: v.Owner, Sealed: v.Sealed, Visibility: v.Visibility, AllowDownload: v.AllowDownload, KeepDraft: v.KeepDraft,
		Review: v.Review, PublishDelay: v.PublishDelay, Import: v.Import, Media: v.Media, Renditions: v.Renditions, Warnings: v.Warnings,
		CreatedAt: v.CreatedAt, PublishAt: v.PublishAt, PublishedAt: v.PublishedAt, HiddenAt: v.HiddenAt, PurgeAt: v.PurgeAt,
		Upload: Upload{
			TokenHash: u.TokenHash, Bytes: u.Offset, Sealed: u.Sealed, HashState: u.HashState, SHA256: u.SHA256, ExpectedSHA256: u.ExpectedSHA256,
			Idle: u.Idle, LastByteAt: u.LastByteAt, ExpiresAt: u.ExpiresAt, FinishedAt: u.FinishedAt,
		},
	}
	for _, o := range stored {
		if o.Kind == catalog.KindFacts {
			continue // they can't tell their own size and hash
		}
		f.Objects = append(f.Objects, Object{
			Key: o.Key, Kind: o.Kind, Rendition: o.Rendition, Index: o.Index, Offset: o.Offset, PlainSize: o.PlainSize,
			Size: o.Size, SHA256: o.SHA256, IV: o.IV, Duration: o.Duration, Epoch: o.Epoch, CreatedAt: o.CreatedAt,
		})
	}
	return f
}

// rows are what a catalog has of the facts: of objects those that every store should
// have, without store and version.
func (f Facts) rows() catalog.Rebuilt {
	v := catalog.Video{
		ID: f.ID, Owner: f.Owner, Sealed: f.Sealed, Visibility: f.Visibility, AllowDownload: f.AllowDownload, KeepDraft: f.KeepDraft,
		Review: f.Review, PublishDelay: f.PublishDelay, Import: f.Import, Stage: f.Stage, Held: f.Held, Decisions: f.Decisions,
		DecidedBy: f.DecidedBy, Media: f.Media, Renditions: f.Renditions, Warnings: f.Warnings,
		CreatedAt: f.CreatedAt, PublishAt: f.PublishAt, PublishedAt: f.PublishedAt, HiddenAt: f.HiddenAt, PurgeAt: f.PurgeAt,
		Revision: f.Generation + 1, // so that later facts are later by their generation, too
	}
	u := catalog.Upload{
		TokenHash: f.Upload.TokenHash, Length: f.Upload.Bytes, Offset: f.Upload.Bytes, Sealed: f.Upload.Sealed, HashState: f.Upload.HashState,
		SHA256: f.Upload.SHA256, ExpectedSHA256: f.Upload.ExpectedSHA256, Idle: f.Upload.Idle,
		LastByteAt: f.Upload.LastByteAt, ExpiresAt: f.Upload.ExpiresAt, FinishedAt: f.Upload.FinishedAt, Announced: true,
	}
	if v.Stage == video.PendingDeletion {
		v.Ending, v.AskedBy = video.ByDeletion, video.AskedByUnknown
	}
	r := catalog.Rebuilt{Video: v, Epoch: f.Epoch, Upload: u}
	for _, o := range f.Objects {
		r.Objects = append(r.Objects, catalog.Object{
			Key: o.Key, Kind: o.Kind, Rendition: o.Rendition, Index: o.Index, Offset: o.Offset, PlainSize: o.PlainSize,
			Size: o.Size, SHA256: o.SHA256, IV: o.IV, Duration: o.Duration, Epoch: o.Epoch, CreatedAt: o.CreatedAt,
		})
	}
	return r
}

// Encode is the facts as they are sealed: the same facts are always the same bytes.
func (f Facts) Encode() ([]byte, error) { return json.Marshal(f) }

// decode reads what was sealed under a key of the video's. It fails with Internal when it
// isn't facts of that video and generation that this release understands.
func decode(plain []byte, id video.ID, generation int64) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(plain, &f); err != nil {
		return f, video.Errorf(video.Internal, "The facts of the video are damaged.").Because(err)
	}
	switch {
	case f.Format < 1 || f.Format > format:
		return f, video.Errorf(video.Internal, "The facts are of the format %d, and this release understands up to %d: take the release that wrote them.", f.Format, format)
	case f.ID != id || f.Generation != generation:
		return f, video.Errorf(video.Internal, "The facts are of another video, or of another generation.")
	case f.Stage != video.Published && f.Stage != video.PendingDeletion:
		return f, video.Errorf(video.Internal, "The facts are of a video that was not published.")
	}
	return f, nil
}

// Path is where the facts of a generation lie below the video's prefix, as manifest.NewKey
// takes it.
func Path(generation int64) string { return fmt.Sprintf("facts/%019d", generation) }

// generationIn reads the generation from a key below a video's prefix. Ok is false for a
// key of anything else.
func generationIn(key string, id video.ID) (generation int64, ok bool) {
	name, ok := strings.CutPrefix(key, id.Prefix()+"facts/")
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(name, "-")
	if !ok || len(digits) != 19 {
		return 0, false
	}
	generation, err := strconv.ParseInt(digits, 10, 64)
	return generation, err == nil && generation >= 0
}

// Lists reports whether f tells of exactly these captions.
func (f Facts) Lists(captions []catalog.Object) bool {
	listed := 0
	for _, o := range f.Objects {
		if o.Kind == catalog.KindCaption {
			listed++
		}
	}
	return listed == len(captions) && !slices.ContainsFunc(captions, func(o catalog.Object) bool {
		return !slices.ContainsFunc(f.Objects, func(listed Object) bool { return listed.Key == o.Key })
	})
}

// SaysTheSame reports whether sealed facts, opened, say what f says, of whatever generation
// and epoch.
func (f Facts) SaysTheSame(plain []byte) (bool, error) {
	var other Facts
	if err := json.Unmarshal(plain, &other); err != nil {
		return false, nil // damaged: they say nothing
	}
	other.Generation, other.Epoch = f.Generation, f.Epoch
	a, err := f.Encode()
	if err != nil {
		return false, err
	}
	b, err := other.Encode()
	return string(a) == string(b), err
}
