package gateway

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/origin"
	"github.com/reelflow/reelflow/video"
)

// tokenLife is how long the addresses of a playback are good for: long enough
// to watch a video with pauses, short enough not to be passed around.
const tokenLife = time.Hour

// viewers are the classes of people that a token can stand for. It names none.
type viewers byte

const (
	anyone   viewers = 'a'
	insiders viewers = 'i' // the owner, operators and reviewers of the video
)

func (v viewers) roles() []video.Role {
	if v == insiders {
		return []video.Role{video.Owner, video.Reviewer}
	}
	return nil
}

// classOf is whom a token for the one who looks at a video stands for.
func classOf(s loaded) viewers {
	if len(s.roles) > 0 {
		return insiders
	}
	return anyone
}

// A playback token is the class, the end as a Unix time, and a MAC over both and the id.
const (
	tokenHead = 1 + 8
	tokenSize = tokenHead + 16
)

func (g *Gateway) playbackToken(id video.ID, v viewers, until time.Time) string {
	head := binary.BigEndian.AppendUint64([]byte{byte(v)}, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(head, g.playbackMAC(id, head)...))
}

func (g *Gateway) playbackMAC(id video.ID, head []byte) []byte {
	return g.tokens.MAC(string(id), string(head))[:tokenSize-tokenHead]
}

// checkToken returns whom a token stands for, or Unauthenticated.
func (g *Gateway) checkToken(id video.ID, token string, now time.Time) (viewers, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil && len(raw) == tokenSize && hmac.Equal(raw[tokenHead:], g.playbackMAC(id, raw[:tokenHead])) &&
		now.Before(time.Unix(int64(binary.BigEndian.Uint64(raw[1:])), 0)) {
		return viewers(raw[0]), nil
	}
	return 0, video.Errorf(video.Unauthenticated, "This address has expired. Ask for the playback again.")
}

// Playback is how to watch a video.
type Playback struct {
	HLS       string    `json:"hls" doc:"The master playlist"`
	Poster    string    `json:"poster" doc:"A picture; empty if there is none"`
	Previews  []string  `json:"previews" doc:"Pictures for scrubbing"`
	Download  string    `json:"download,omitempty" doc:"The file as it was uploaded, if its author allows it"`
	ExpiresAt time.Time `json:"expires_at" doc:"When these addresses stop working"`
}

type playbackAnswer struct{ Body Playback }

// playback makes the addresses for whoever sent the request.
func (g *Gateway) playback(ctx context.Context, id string) (Playback, error) {
	s, err := g.load(ctx, id)
	if err != nil {
		return Playback{}, err
	}
	if err := s.canWatch(); err != nil {
		return Playback{}, err
	}
	objects, err := g.primary(ctx, s.row.ID, "")
	if err != nil {
		return Playback{}, err
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(objects, func(o catalog.Object) bool { return o.Kind == kind })
	}
	if !has(catalog.KindSegment) {
		return Playback{}, video.Errorf(video.Conflict, "The video can't be watched yet: it is still being processed.")
	}
	return g.addresses(s, origin.From(ctx).Base, objects, has), nil
}

func (g *Gateway) addresses(s loaded, base string, objects []catalog.Object, has func(kind string) bool) Playback {
	until := time.Now().Add(tokenLife).UTC().Truncate(time.Second)
	root := base + "/play/" + string(s.row.ID) + "/" + g.playbackToken(s.row.ID, classOf(s), until) + "/"
	p := Playback{HLS: root + "master.m3u8", Previews: []string{}, ExpiresAt: until}
	if has(catalog.KindPoster) {
		p.Poster = root + "poster.jpg"
	}
	for _, o := range objects {
		if o.Kind == catalog.KindPreview {
			p.Previews = append(p.Previews, root+"preview/"+previewName(o))
		}
	}
	if s.row.AllowDownload && has(catalog.KindSource) {
		p.Download = root + "source"
	}
	return p
}

// primary returns what the primary store has of a video, of one kind or all.
func (g *Gateway) primary(ctx context.Context, id video.ID, kind string) ([]catalog.Object, error) {
	return g.catalog.Objects(ctx, id, catalog.Filter{Store: g.stores.Primary.Name(), Kind: kind, Stored: true})
}

// posterOf returns the address of a poster for those who may watch the video; a list
// without pictures is better than none.
func (g *Gateway) posterOf(ctx context.Context, s loaded) string {
	if s.canWatch() != nil {
		return ""
	}
	objects, err := g.primary(ctx, s.row.ID, catalog.KindPoster)
	if err != nil || len(objects) == 0 {
		return ""
	}
	until := time.Now().Add(tokenLife)
	return "/play/" + string(s.row.ID) + "/" + g.playbackToken(s.row.ID, classOf(s), until) + "/poster.jpg"
}
