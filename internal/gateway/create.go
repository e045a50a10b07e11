package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// NewVideo is what its author says of a video before sending it.
type NewVideo struct {
	Title         string     `json:"title,omitempty" maxLength:"200"`
	Caption       string     `json:"caption,omitempty" maxLength:"4000"`
	Hashtags      []string   `json:"hashtags,omitempty" maxItems:"50" doc:"With or without the #"`
	Music         string     `json:"music,omitempty" maxLength:"200"`
	Visibility    string     `json:"visibility,omitempty" enum:"public,unlisted,private" default:"public"`
	PublishAt     *time.Time `json:"publish_at,omitempty" doc:"Not before this time"`
	PublishDelay  *Delay     `json:"publish_delay,omitempty" doc:"Least time between upload and publication: a duration such as 10m, or seconds"`
	Review        bool       `json:"review,omitempty" doc:"Somebody has to approve it first"`
	Reviewers     []string   `json:"reviewers,omitempty" maxItems:"50" doc:"Who may; implies review"`
	KeepDraft     bool       `json:"keep_draft,omitempty" doc:"A cancel keeps it as a draft"`
	AllowDownload bool       `json:"allow_download,omitempty"`
	Protect       bool       `json:"protect,omitempty" doc:"Once deleted, re-uploads are to be caught"`
	Source        *Source    `json:"source,omitempty" doc:"What will be sent"`
}

// Source is what will be uploaded, or where it is to be fetched.
type Source struct {
	Size        *int64 `json:"size,omitempty" minimum:"0" doc:"Bytes"`
	Filename    string `json:"filename,omitempty" maxLength:"255"`
	ContentType string `json:"content_type,omitempty" maxLength:"127"`
	SHA256      string `json:"sha256,omitempty" doc:"Of the whole file, in hex: what arrives must match it"`
	URL         string `json:"url,omitempty" maxLength:"2000" doc:"Fetch it from here instead of an upload"`
}

// Delay is a duration in JSON: "10m" or a number of seconds.
type Delay time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Delay) UnmarshalJSON(data []byte) error {
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err == nil {
		*d = Delay(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(text)
	*d = Delay(parsed)
	return err
}

// MarshalJSON implements json.Marshaler.
func (d Delay) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Schema tells huma that there are two ways to write it.
func (Delay) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString, Pattern: `^([0-9.]+(ns|us|ms|s|m|h))+$|^0$`}, {Type: huma.TypeNumber},
	}}
}

// birth is a new video before it is anywhere.
type birth struct {
	row    catalog.Video
	about  about
	length int64 // bytes; -1 if not known
	sha256 []byte
	url    string // where it is fetched from; empty for an upload

	metadata map[string]string // as a tus client sent it
}

const maxDelay = 366 * 24 * time.Hour

// check refuses what can't be, naming the field, and turns the request into a birth.
func (g *Gateway) check(n NewVideo, owner person) (birth, error) {
	b := birth{length: -1}
	b.row = catalog.Video{
		Owner: g.secrets.ownerID(owner.name), Visibility: n.Visibility, AllowDownload: n.AllowDownload,
		KeepDraft: n.KeepDraft, Review: n.Review || len(n.Reviewers) > 0, Stage: video.Uploading,
	}
	b.about = about{Owner: owner.name, Title: n.Title, Caption: n.Caption, Music: n.Music, Reviewers: n.Reviewers, Protect: n.Protect}
	if n.Visibility == "" {
		b.row.Visibility = visibilityPublic
	} else if !slices.Contains([]string{visibilityPublic, visibilityUnlisted, visibilityPrivate}, n.Visibility) {
		return birth{}, invalid("visibility", "it must be public, unlisted or private")
	}
	if n.PublishAt != nil {
		b.row.PublishAt = n.PublishAt.UTC()
	}
	if n.PublishDelay != nil {
		delay := time.Duration(*n.PublishDelay)
		if delay < 0 || delay > maxDelay {
			return birth{}, invalid("publish_delay", "it must be between 0 and 366 days")
		}
		b.row.PublishDelay = &delay
	}
	for _, name := range n.Reviewers {
		if checkName(name) != nil {
			return birth{}, invalid("reviewers", "each must be the name of a person")
		}
	}
	var err error
	if b.about.Hashtags, err = checkHashtags(n.Hashtags); err != nil {
		return birth{}, err
	}
	if err := checkTexts(n); err != nil {
		return birth{}, err
	}
	return b, g.checkSource(n.Source, &b)
}

func invalid(field, why string) error {
	return video.Errorf(video.Invalid, "The field %q is not valid: %s.", field, why)
}

func checkTexts(n NewVideo) error {
	for field, text := range map[string]string{"title": n.Title, "caption": n.Caption, "music": n.Music} {
		odd := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
		if !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
			return invalid(field, "it must be text without control characters")
		}
		if len(text) > 16000 {
			return invalid(field, "it is too long")
		}
	}
	return nil
}

func checkHashtags(given []string) ([]string, error) {
	var tags []string
	for _, tag := range given {
		tag = strings.TrimPrefix(tag, "#")
		odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == '#' }
		if tag == "" || utf8.RuneCountInString(tag) > 100 || strings.ContainsFunc(tag, odd) {
			return nil, invalid("hashtags", "each has 1 to 100 characters without spaces")
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func (g *Gateway) checkSource(s *Source, b *birth) error {
	if s == nil {
		return nil
	}
	b.about.Filename, b.about.ContentType = s.Filename, s.ContentType
	if s.URL != "" {
		if err := g.settings.Import.Check(s.URL); err != nil {
			return err
		}
		b.row.Import, b.url = true, s.URL
	}
	if s.SHA256 != "" {
		sum, err := hex.DecodeString(s.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return invalid("source.sha256", "it must be 64 hexadecimal digits")
		}
		b.sha256 = sum
	}
	if s.Size == nil {
		return nil
	}
	b.length = *s.Size
	return g.checkLength(b.length)
}

// checkLength refuses early what could never become a video; -1 is a length not yet known.
func (g *Gateway) checkLength(n int64) error {
	switch {
	case n == 0:
		return video.Errorf(video.Invalid, "The file is empty.")
	case n > g.settings.MaxBytes:
		return video.Errorf(video.TooLarge, "The file has %d bytes; at most %d bytes (%.1f MB) are allowed.",
			n, g.settings.MaxBytes, float64(g.settings.MaxBytes)/1e6)
	}
	return nil
}

// uploadToken is the end of an upload's URL: 128 bits that can't be guessed from the id.
func (s secrets) uploadToken(id video.ID) string {
	sum := hmacOf(s.upload, []byte(id))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// begin makes a video, everything that outlasts a crash first: the key, then the
// rows, then the workflow. Repeating it with one of the same ids finds what there
// is and does the rest. It fails with Conflict when one of them belongs to another
// request, Gone when that video was deleted, and as catalog.HasRoom does when its owner
// has no more room.
func (g *Gateway) begin(ctx context.Context, ids []video.ID, b birth) (catalog.Video, error) {
	row, err := g.catalog.OneOf(ctx, ids)
	switch {
	case err == nil:
		return g.again(ctx, row, b)
	case video.CodeOf(err) != video.NotFound:
		return catalog.Video{}, err
	}
	// Asked for once more with the rows; but by then there is a key to be taken back.
	if err := g.catalog.HasRoom(ctx, b.row.Owner, b.length, g.allowance()); err != nil {
		return catalog.Video{}, noRoom(err)
	}
	if err := g.record(ctx, ids, b); err != nil && video.CodeOf(err) != video.Conflict {
		return catalog.Video{}, noRoom(err)
	}
	if row, err = g.catalog.OneOf(ctx, ids); err != nil {
		return catalog.Video{}, err
	}
	return g.again(ctx, row, b) // the rows may be those of the same request sent twice at once
}

// record makes the key and the rows of a video under the first of the ids. It
// fails with Conflict when there is one under any of them.
func (g *Gateway) record(ctx context.Context, ids []video.ID, b birth) (err error) {
	id := ids[0]
	loan, err := g.newKey(ctx, id)
	if err != nil {
		return err
	}
	// Lent until the rows are there: nobody can take the key back meanwhile.
	err = g.admit(loan.Keep(ctx), ids, b)
	loan.Release()
	switch code := video.CodeOf(err); {
	case err == nil:
		g.confirm(ctx, id)
	case code.Permanent() || code == video.RateLimited:
		g.settleKey(ctx, id) // else the rows may be there, and only the answer was lost
	}
	return err
}

func (g *Gateway) admit(ctx context.Context, ids []video.ID, b birth) (err error) {
	id := ids[0]
	b.row.ID = id
	if b.row.Sealed, err = g.sealAbout(ctx, id, b.about); err != nil {
		return err
	}
	token := sha256.Sum256([]byte(g.secrets.uploadToken(id)))
	u := catalog.Upload{Video: id, TokenHash: token[:], Length: b.length, Idle: g.settings.Policy.UploadIdle}
	if err := g.sealUpload(ctx, &u, b); err != nil {
		return err
	}
	return g.catalog.Admit(ctx, b.row, u, catalog.Admission{Rivals: ids, Allowance: g.allowance()})
}

// again checks that a row was made by the request that b came from, and starts
// its life. While Temporal is down the rows are the promise: see startMissing.
func (g *Gateway) again(ctx context.Context, row catalog.Video, b birth) (catalog.Video, error) {
	a, err := g.openAbout(ctx, row)
	if err != nil {
		return catalog.Video{}, err
	}
	if row.Owner != b.row.Owner || !bytes.Equal(a.Request, b.about.Request) {
		return catalog.Video{}, video.Errorf(video.Conflict, "This Idempotency-Key was used for another request.")
	}
	if s := row.State(); s.Stage != video.Uploading || s.Ending != "" {
		return row, nil
	}
	if err := g.lives.Start(ctx, g.lifecycleInput(row)); err != nil {
		g.log.Warn("life not started yet", "video", row.ID, "error", err)
	}
	return row, nil
}

// lifecycleInput is what the workflow is told, made of what is durable.
func (g *Gateway) lifecycleInput(row catalog.Video) video.LifecycleInput {
	var backups []string
	for _, store := range g.stores.Backups {
		backups = append(backups, store.Name())
	}
	return row.Input(g.stores.Primary.Name(), backups, g.settings.Policy)
}

// startMissing makes up for gateways that died while they made a video, or had no
// Temporal: it starts lives that have rows but no workflow, and takes back keys that
// have no rows. Starting one that lives does nothing, so each gateway asks once for
// every upload that it sees.
func (g *Gateway) startMissing(ctx context.Context) {
	started, tentative := map[video.ID]bool{}, map[video.ID]bool{}
	for tick := time.NewTicker(startEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		var err error
		if started, err = g.startOnce(ctx, started); err != nil && ctx.Err() == nil {
			g.log.Warn("lives not started", "error", err)
		}
		if tentative, err = g.settleKeys(ctx, tentative); err != nil && ctx.Err() == nil {
			g.log.Warn("keys not settled", "error", err)
		}
	}
}

const (
	startEvery = 2 * time.Second
	startAfter = 2 * time.Second // time for the request itself to do it
	startPage  = 100             // videos
)

// startOnce returns those that were started, of those that have shown no sign of life yet.
func (g *Gateway) startOnce(ctx context.Context, known map[video.ID]bool) (map[video.ID]bool, error) {
	started := map[video.ID]bool{}
	for after := video.ID(""); ; {
		page, err := g.catalog.Unstarted(ctx, time.Now().Add(-startAfter), after, startPage)
		if err != nil {
			return known, err
		}
		for _, row := range page {
			if !known[row.ID] {
				err := g.startFor(ctx, row)
				if video.CodeOf(err) == video.Unavailable {
					return known, err
				} else if err != nil {
					g.log.Error("life not started", "video", row.ID, "error", err) // it must not hold up the others
					continue
				}
			}
			started[row.ID] = true
		}
		if len(page) < startPage {
			return started, nil
		}
		after = page[len(page)-1].ID
	}
}

func (g *Gateway) startFor(ctx context.Context, row catalog.Video) error {
	return g.lives.Start(ctx, g.lifecycleInput(row))
}
