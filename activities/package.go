package activities

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Package joins the pieces into encrypted HLS segments, rendition by rendition,
// makes poster and previews, and drops pieces and sound, which nothing needs any
// more, once the manifest has all that the plan asks for. An attempt that died half
// way is swept away first: the segments of a rendition are all of one making. So
// attempts must not share the work: a later one fences off those before it.
func (a *Activities) Package(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	leg, err := a.Catalog.EnterExclusive(ctx, fence(in), nil)
	if err != nil {
		return workflows.Probed{}, err
	}
	if err := a.mustNotHandBack(ctx, in.ID, packageWork); err != nil {
		return workflows.Probed{}, err
	}
	j, err := a.job(ctx, leg)
	if err != nil {
		return workflows.Probed{}, err
	}
	if len(j.shown) == 0 || j.found.mustHaveAll(j.made) != nil {
		if err := a.makePackage(ctx, j); err != nil {
			return a.concluded(ctx, mediaWork{in.ID, packageWork, j.found.Info}, err)
		}
	}
	return workflows.Probed{}, a.dropParts(ctx, leg)
}

// dropParts drops what the package was made of, and what attempts before began to drop.
func (a *Activities) dropParts(ctx context.Context, leg catalog.Leg) error {
	all, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Store: a.Stores.Primary.Name()})
	if err != nil {
		return err
	}
	var parts []catalog.Object
	for _, o := range all {
		part := o.Kind == catalog.KindPiece || o.Kind == catalog.KindAudio
		if o.State == catalog.ObjectDropping || part && o.State == catalog.ObjectStored {
			parts = append(parts, o)
		}
	}
	return a.discard(ctx, leg, parts)
}

func (a *Activities) makePackage(ctx context.Context, j job) error {
	if err := a.discard(ctx, j.leg, ofKind(j.made, catalog.KindSegment, catalog.KindPoster, catalog.KindPreview)); err != nil {
		return err
	}
	works, each := errgroup.WithContext(ctx)
	packaged, segments := make([]video.Rendition, len(j.found.Ladder)), make([]int, len(j.found.Ladder))
	for i, r := range j.found.Ladder {
		works.Go(func() (err error) {
			packaged[i], segments[i], err = a.packageRendition(each, j, r)
			return err
		})
	}
	var previews video.Previews
	works.Go(func() (err error) {
		previews, err = a.pictures(each, j)
		return err
	})
	if err := works.Wait(); err != nil {
		return err
	}
	j.found.Previews, j.found.Segments = &previews, map[string]int{}
	for i, r := range packaged {
		j.found.Segments[r.Name] = segments[i]
	}
	return a.keepPackage(ctx, j, packaged)
}

// keepPackage records what was packaged, if the manifest has all of it.
func (a *Activities) keepPackage(ctx context.Context, j job, packaged []video.Rendition) error {
	made, err := a.Catalog.Objects(ctx, j.leg.Video, catalog.Filter{Store: a.Stores.Primary.Name(), Stored: true})
	if err != nil {
		return err
	}
	if err := j.found.mustHaveAll(made); err != nil {
		return err
	}
	renditions, err := json.Marshal(packaged)
	if err != nil {
		return err
	}
	facts, err := json.Marshal(j.found)
	if err != nil {
		return err
	}
	return a.Catalog.Project(ctx, j.leg, func(v *catalog.Video) { v.Renditions, v.Media = renditions, facts })
}

// mustHaveAll says what is missing in a manifest of all that the plan asks of a
// packaged video, or nil.
func (f findings) mustHaveAll(made []catalog.Object) error {
	stored := map[string]int{} // how many there are of each kind, and of each rendition's segments
	for _, o := range made {
		if o.Kind == catalog.KindSegment && o.Index >= f.Segments[o.Rendition] {
			return video.Errorf(video.Internal, "The manifest has a segment of %s that was not planned.", o.Rendition)
		}
		stored[o.Kind]++
		stored[o.Kind+"/"+o.Rendition]++ // no two have the same number: see objects_stored_once
	}
	for _, r := range f.Ladder {
		n := f.Segments[r.Name]
		if have := stored[catalog.KindSegment+"/"+r.Name]; n == 0 || n != f.Segments[f.Ladder[0].Name] || have != n {
			return video.Errorf(video.Internal, "The manifest has %d of %d segments of %s.", have, n, r.Name)
		}
	}
	for _, kind := range []string{catalog.KindPoster, catalog.KindPreview} {
		if stored[kind] == 0 {
			return video.Errorf(video.Internal, "The manifest has no %s.", kind)
		}
	}
	return nil
}

// packageRendition puts the segments of a rendition, and says what they hold, and how
// many they are: the pieces were all encoded with the same parameters, so the first
// speaks for all.
func (a *Activities) packageRendition(ctx context.Context, j job, r video.Rendition) (made video.Rendition, segments int, err error) {
	made = r
	made.FrameRate = j.found.Info.OutputRate.Float()
	pieces, audio, err := a.parts(j, r.Name)
	if err != nil {
		return made, 0, err
	}
	err = j.tools.Package(ctx, j.found.Info, pieces, audio, func(s media.Segment) (err error) {
		if s.Index == 0 {
			if made.Codecs, err = s.Codecs(); err != nil {
				return err
			}
		}
		segments = s.Index + 1
		return a.putSegment(ctx, j.leg, r.Name, s)
	})
	return made, segments, err
}

// parts are what a rendition is made of. A video whose plan has sound is never made
// without it.
func (a *Activities) parts(j job, rendition string) (pieces []media.Source, audio media.Source, err error) {
	for i := range j.found.Pieces {
		o, ok := find(ofKind(j.made, catalog.KindPiece), rendition, i)
		if !ok {
			return nil, nil, video.Errorf(video.Internal, "Piece %d of %s is missing.", i, rendition)
		}
		pieces = append(pieces, a.object(o))
	}
	if !j.found.Info.HasAudio {
		return pieces, nil, nil
	}
	sound := ofKind(j.made, catalog.KindAudio)
	if len(sound) == 0 {
		return nil, nil, video.Errorf(video.Internal, "The sound is missing.")
	}
	return pieces, a.object(sound[0]), nil
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
	return a.writer().Put(ctx, leg, catalog.Object{
		Key:  manifest.NewKey(leg.Video, fmt.Sprintf("hls/%s/%d", rendition, s.Index), ".ts"),
		Kind: catalog.KindSegment, Rendition: rendition, Index: s.Index,
		Duration: s.Duration, IV: iv[:], PlainSize: int64(len(s.Data)),
	}, body)
}

// pictures makes the poster and the previews for scrubbing.
func (a *Activities) pictures(ctx context.Context, j job) (video.Previews, error) {
	poster, err := j.tools.Poster(ctx, j.source, j.found.Info)
	if err != nil {
		return video.Previews{}, err
	}
	err = a.writer().PutSealed(ctx, j.leg, catalog.Object{Key: manifest.NewKey(j.leg.Video, "poster/whole", ".jpg"), Kind: catalog.KindPoster}, poster)
	if err != nil {
		return video.Previews{}, err
	}
	sheet, layout, err := j.tools.Previews(ctx, j.source, j.found.Info)
	if err != nil {
		return video.Previews{}, err
	}
	return layout, a.writer().PutSealed(ctx, j.leg, catalog.Object{Key: manifest.NewKey(j.leg.Video, "preview/sheet", ".jpg"), Kind: catalog.KindPreview}, sheet)
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
