package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// findings is what the catalog keeps of a probe: what the API shows, and the
// facts from which every worker derives the same plan.
type findings struct {
	video.Media
	Info     media.Info      `json:"info"`
	Previews *video.Previews `json:"previews,omitempty"`
}

// recommendedSide is the short side, in pixels, below which the author is advised.
const recommendedSide = 1080

// Probe looks at the upload and plans the work. What can't become a video is
// rejected, with a reason for its author.
func (a *Activities) Probe(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	leg := fence(in)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return workflows.Probed{}, err
	}
	source, err := a.source(ctx, in.ID)
	if err != nil {
		return workflows.Probed{}, err
	}
	info, err := a.Media.Probe(ctx, source)
	if err != nil {
		return rejected(err)
	}
	plan := planOf(info)
	facts, err := json.Marshal(findings{Media: described(info), Info: info})
	if err != nil {
		return workflows.Probed{}, err
	}
	err = a.Catalog.Project(ctx, leg, func(v *catalog.Video) {
		v.Media, v.Warnings = facts, warnings(info)
		v.Unit, v.Total = "segments", int64(plan.Pieces)
	})
	return workflows.Probed{Plan: plan}, err
}

func planOf(info media.Info) video.Plan {
	return video.Plan{
		Pieces: len(media.Pieces(info, media.PieceLength(info))), Renditions: len(media.Ladder(info)), Audio: info.HasAudio,
	}
}

func described(i media.Info) video.Media {
	return video.Media{
		DurationSeconds: i.DurationSeconds, Width: i.Width, Height: i.Height, Rotation: i.Rotation,
		VideoCodec: i.VideoCodec, AudioCodec: i.AudioCodec, FrameRate: i.FrameRate.Float(),
	}
}

func warnings(i media.Info) []string {
	if side := min(i.Width, i.Height); side < recommendedSide {
		return []string{fmt.Sprintf("The short side has %d pixels; at least %d are recommended.", side, recommendedSide)}
	}
	return nil
}

// rejected turns the media package's verdict into a result: it is no failure of
// the activity. Every other error stays one.
func rejected(err error) (workflows.Probed, error) {
	if r, ok := errors.AsType[*media.Rejection](err); ok {
		return workflows.Probed{Rejected: &video.Rejection{Code: string(r.Code), Message: r.Message}}, nil
	}
	return workflows.Probed{}, err
}

// job is what every media activity after the probe begins with.
type job struct {
	leg    catalog.Leg
	source media.Source
	info   media.Info
	made   []catalog.Object // what the manifest has of a kind
}

func (a *Activities) begin(ctx context.Context, in workflows.Leg, kind string) (job, error) {
	j := job{leg: fence(in)}
	if err := a.Catalog.Enter(ctx, j.leg, nil); err != nil {
		return job{}, err
	}
	v, err := a.Catalog.Video(ctx, in.ID)
	if err != nil {
		return job{}, err
	}
	var found findings
	if err := json.Unmarshal(v.Media, &found); err != nil {
		return job{}, video.Errorf(video.Internal, "The findings of the probe are missing.").Because(err)
	}
	j.info = found.Info
	if j.source, err = a.source(ctx, in.ID); err != nil {
		return job{}, err
	}
	j.made, err = a.Catalog.Objects(ctx, in.ID, catalog.Filter{Store: a.Stores.Primary.Name(), Kind: kind, Stored: true})
	return j, err
}

// find returns the first object of a rendition and index.
func find(all []catalog.Object, rendition string, index int) (catalog.Object, bool) {
	for _, o := range all {
		if o.Rendition == rendition && o.Index == index {
			return o, true
		}
	}
	return catalog.Object{}, false
}

// EncodePiece encodes one piece in every rendition, unless the manifest has it
// in all of them already.
func (a *Activities) EncodePiece(ctx context.Context, in workflows.PieceInput) (workflows.Probed, error) {
	defer heart(ctx)()
	j, err := a.begin(ctx, in.Leg, catalog.KindPiece)
	if err != nil {
		return workflows.Probed{}, err
	}
	ladder, pieces := media.Ladder(j.info), media.Pieces(j.info, media.PieceLength(j.info))
	if in.Piece >= len(pieces) {
		return workflows.Probed{}, video.Errorf(video.Internal, "The plan has no piece %d.", in.Piece)
	}
	if a.encoded(j.made, ladder, in.Piece) {
		return workflows.Probed{}, nil
	}
	err = a.Media.EncodePiece(ctx, j.source, j.info, ladder, pieces[in.Piece], nil, func(rendition string, file io.ReadSeeker, size int64) error {
		return a.keep(ctx, j.leg, catalog.Object{
			Key:  newKey(in.ID, fmt.Sprintf("piece/%s/%d", rendition, in.Piece), ".mp4"),
			Kind: catalog.KindPiece, Rendition: rendition, Index: in.Piece,
		}, file)
	})
	if err != nil {
		return rejected(err)
	}
	return workflows.Probed{}, a.countPieces(ctx, j.leg, ladder[0].Name)
}

func (a *Activities) encoded(made []catalog.Object, ladder []media.Rendition, piece int) bool {
	for _, r := range ladder {
		if _, ok := find(made, r.Name, piece); !ok {
			return false
		}
	}
	return true
}

// keep seals a finished file of ffmpeg's and puts it.
func (a *Activities) keep(ctx context.Context, leg catalog.Leg, o catalog.Object, file io.Reader) error {
	plain, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return a.putSealed(ctx, leg, o, plain)
}

// countPieces shows how many pieces are done: those in the manifest, so that an
// attempt more counts nothing twice.
func (a *Activities) countPieces(ctx context.Context, leg catalog.Leg, rendition string) error {
	made, err := a.Catalog.Objects(ctx, leg.Video, catalog.Filter{
		Store: a.Stores.Primary.Name(), Kind: catalog.KindPiece, Rendition: rendition, Stored: true,
	})
	if err != nil {
		return err
	}
	done := map[int]bool{}
	for _, o := range made {
		done[o.Index] = true
	}
	return a.Catalog.Project(ctx, leg, func(v *catalog.Video) { v.Done = max(v.Done, int64(len(done))) })
}

// EncodeAudio encodes the sound, unless the manifest has it already.
func (a *Activities) EncodeAudio(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	j, err := a.begin(ctx, in, catalog.KindAudio)
	if err != nil || len(j.made) > 0 {
		return workflows.Probed{}, err
	}
	err = a.Media.EncodeAudio(ctx, j.source, j.info, func(_ string, file io.ReadSeeker, size int64) error {
		return a.keep(ctx, j.leg, catalog.Object{Key: newKey(in.ID, "audio/whole", ".mp4"), Kind: catalog.KindAudio}, file)
	})
	if err != nil {
		return rejected(err)
	}
	return workflows.Probed{}, nil
}
