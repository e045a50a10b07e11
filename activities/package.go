package activities

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Package joins the pieces into encrypted HLS segments, rendition by rendition,
// makes poster and previews, and drops pieces and sound, which nothing needs any
// more. An attempt that died half way is swept away first: the segments of a
// rendition are all of one making.
func (a *Activities) Package(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	j, err := a.begin(ctx, in, "")
	if err != nil {
		return workflows.Probed{}, err
	}
	v, err := a.Catalog.Video(ctx, in.ID)
	if err != nil {
		return workflows.Probed{}, err
	}
	if len(v.Renditions) == 0 {
		if err := a.makePackage(ctx, j); err != nil {
			return rejected(err)
		}
	}
	return workflows.Probed{}, a.discard(ctx, j.leg, ofKind(j.made, catalog.KindPiece, catalog.KindAudio))
}

func (a *Activities) makePackage(ctx context.Context, j job) error {
	if err := a.discard(ctx, j.leg, ofKind(j.made, catalog.KindSegment, catalog.KindPoster, catalog.KindPreview)); err != nil {
		return err
	}
	ladder := media.Ladder(j.info)
	works, each := errgroup.WithContext(ctx)
	packaged := make([]video.Rendition, len(ladder))
	for i, r := range ladder {
		works.Go(func() (err error) {
			packaged[i], err = a.packageRendition(each, j, r)
			return err
		})
	}
	var previews media.Previews
	works.Go(func() (err error) {
		previews, err = a.pictures(each, j)
		return err
	})
	if err := works.Wait(); err != nil {
		return err
	}
	renditions, err := json.Marshal(packaged)
	if err != nil {
		return err
	}
	shown := video.Previews(previews)
	facts, err := json.Marshal(findings{Media: described(j.info), Info: j.info, Previews: &shown})
	if err != nil {
		return err
	}
	return a.Catalog.Project(ctx, j.leg, func(v *catalog.Video) { v.Renditions, v.Media = renditions, facts })
}

// packageRendition puts the segments of a rendition, and says what they hold: the
// pieces were all encoded with the same parameters, so the first speaks for all.
func (a *Activities) packageRendition(ctx context.Context, j job, r media.Rendition) (video.Rendition, error) {
	made := video.Rendition{Name: r.Name, Width: r.Width, Height: r.Height, Bitrate: r.Bitrate, FrameRate: j.info.OutputRate.Float()}
	plan := media.Pieces(j.info, media.PieceLength(j.info))
	pieces := make([]media.Source, len(plan))
	for i := range plan {
		o, ok := find(ofKind(j.made, catalog.KindPiece), r.Name, i)
		if !ok {
			return made, video.Errorf(video.Internal, "Piece %d of %s is missing.", i, r.Name)
		}
		pieces[i] = a.object(o)
	}
	var audio media.Source
	if sound := ofKind(j.made, catalog.KindAudio); j.info.HasAudio && len(sound) > 0 {
		audio = a.object(sound[0])
	}
	err := a.Media.Package(ctx, j.info, pieces, audio, func(s media.Segment) (err error) {
		if s.Index == 0 {
			if made.Codecs, err = s.Codecs(); err != nil {
				return err
			}
		}
		return a.putSegment(ctx, j.leg, r.Name, s)
	})
	return made, err
}

// putSegment encrypts a segment as HLS's AES-128 has it, with a key of its own
// and a random IV, and puts it as it will be served.
func (a *Activities) putSegment(ctx context.Context, leg catalog.Leg, rendition string, s media.Segment) error {
	var iv [16]byte
	rand.Read(iv[:])
	var body []byte
	err := a.withKey(ctx, leg.Video, func(k vault.Key) error {
		key, err := k.SegmentKey(rendition, s.Index)
		if err == nil {
			body = vault.EncryptSegment(key, iv, s.Data)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.put(ctx, leg, a.Stores.Primary, catalog.Object{
		Key:  newKey(leg.Video, fmt.Sprintf("hls/%s/%d", rendition, s.Index), ".ts"),
		Kind: catalog.KindSegment, Rendition: rendition, Index: s.Index,
		Duration: s.Duration, IV: iv[:], PlainSize: int64(len(s.Data)),
	}, body)
}

// pictures makes the poster and the previews for scrubbing.
func (a *Activities) pictures(ctx context.Context, j job) (media.Previews, error) {
	poster, err := a.Media.Poster(ctx, j.source, j.info)
	if err != nil {
		return media.Previews{}, err
	}
	err = a.putSealed(ctx, j.leg, catalog.Object{Key: newKey(j.leg.Video, "poster/whole", ".jpg"), Kind: catalog.KindPoster}, poster)
	if err != nil {
		return media.Previews{}, err
	}
	sheet, layout, err := a.Media.Previews(ctx, j.source, j.info)
	if err != nil {
		return media.Previews{}, err
	}
	return layout, a.putSealed(ctx, j.leg, catalog.Object{Key: newKey(j.leg.Video, "preview/sheet", ".jpg"), Kind: catalog.KindPreview}, sheet)
}

func ofKind(all []catalog.Object, kinds ...string) []catalog.Object {
	var some []catalog.Object
	for _, o := range all {
		for _, kind := range kinds {
			if o.Kind == kind {
				some = append(some, o)
			}
		}
	}
	return some
}
