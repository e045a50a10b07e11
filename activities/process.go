package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// findings is what the catalog keeps of a probe: what the API shows, the facts, and
// the plan that was made of them, once. Whatever works on the video later follows
// the plan that is kept, whichever release of the code it is.
type findings struct {
	video.Media
	Info     media.Info      `json:"info"`
	Previews *video.Previews `json:"previews,omitempty"`

	Epoch   int64             `json:"epoch"`  // of the leg that found it
	Ladder  []video.Rendition `json:"ladder"` // never empty
	Pieces  []media.Piece     `json:"pieces"`
	Threads int               `json:"threads"` // of each encoder: with other numbers the bytes differ

	// Segments is how many segments each rendition was packaged into.
	Segments map[string]int `json:"segments,omitempty"`
}

// planned are the findings of a probe, with a plan as this release makes it.
func (a *Activities) planned(info media.Info, epoch int64) findings {
	return findings{
		Media: described(info), Info: info, Epoch: epoch, Threads: a.Media.Threads,
		Ladder: media.Ladder(info), Pieces: media.Pieces(info, media.PieceLength(info)),
	}
}

// findingsIn are those that a probe has left in the row; false before one.
func findingsIn(v catalog.Video) (f findings, found bool, err error) {
	if len(v.Media) == 0 {
		return findings{}, false, nil
	}
	if err := json.Unmarshal(v.Media, &f); err != nil {
		return findings{}, false, video.Errorf(video.Internal, "The findings of the probe can't be read.").Because(err)
	}
	return f, len(f.Ladder) > 0 && len(f.Pieces) > 0, nil
}

// plan is what the workflow has to know of it.
func (f findings) plan() video.Plan {
	return video.Plan{Pieces: len(f.Pieces), Renditions: len(f.Ladder), Audio: f.Info.HasAudio}
}

// recommendedSide is the short side, in pixels, below which the author is advised.
const recommendedSide = 1080

// Probe looks at the upload and plans the work. What can't become a video is
// rejected, with a reason for its author. A plan by which work has been done stays,
// with all that was found; so does that of an attempt of the same leg, whose answer
// the workflow may have.
func (a *Activities) Probe(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	leg := fence(in)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return workflows.Probed{}, err
	}
	found, begun, err := a.begunWith(ctx, in.ID)
	if err != nil {
		return workflows.Probed{}, err
	}
	if !begun {
		source, err := a.source(ctx, in.ID)
		if err != nil {
			return workflows.Probed{}, err
		}
		if err := a.mustNotHandBack(ctx, in.ID, probeWork); err != nil {
			return workflows.Probed{}, err
		}
		info, err := a.Media.Probe(ctx, source)
		if err != nil {
			return a.concluded(ctx, mediaWork{id: in.ID, name: probeWork}, err)
		}
		found = a.planned(info, in.Epoch)
	}
	facts, err := json.Marshal(found)
	if err != nil {
		return workflows.Probed{}, err
	}
	err = a.Catalog.Project(ctx, leg, func(v *catalog.Video) {
		if other, there, err := findingsIn(*v); err == nil && there && other.Epoch == in.Epoch {
			found = other
		} else {
			v.Media = facts
		}
		told := warnings(found.Info)
		if begun { // what was found missing by the work that stays
			told = joined(told, v.Warnings)
		}
		v.Warnings = told
		v.Unit, v.Total = "segments", int64(len(found.Pieces))
	})
	return workflows.Probed{Plan: found.plan()}, err
}

// begunWith returns the findings in the row, and whether anything was made by them:
// what was made by one plan can't be joined with what is made by another.
func (a *Activities) begunWith(ctx context.Context, id video.ID) (findings, bool, error) {
	v, err := a.Catalog.Video(ctx, id)
	if err != nil {
		return findings{}, false, err
	}
	found, there, err := findingsIn(v)
	if err != nil || !there {
		return findings{}, false, nil // unreadable ones are found anew
	}
	made, err := a.Catalog.Objects(ctx, id, catalog.Filter{Store: a.Stores.Primary.Name(), Stored: true})
	return found, len(ofKind(made, catalog.KindPiece, catalog.KindAudio, catalog.KindSegment)) > 0, err
}

func described(i media.Info) video.Media {
	return video.Media{
		DurationSeconds: i.DurationSeconds, Width: i.Width, Height: i.Height, Rotation: i.Rotation,
		VideoCodec: i.VideoCodec, AudioCodec: i.AudioCodec, FrameRate: i.FrameRate.Float(),
	}
}

func warnings(i media.Info) []string {
	all := i.Faults.Warnings(i)
	if side := min(i.Width, i.Height); side < recommendedSide {
		all = append(all, fmt.Sprintf("The short side has %d pixels; at least %d are recommended.", side, recommendedSide))
	}
	return all
}

// joined adds those sentences that aren't there yet.
func joined(all, more []string) []string {
	for _, sentence := range more {
		if !slices.Contains(all, sentence) {
			all = append(all, sentence)
		}
	}
	return all
}

// warn writes down what is missing in a piece before the piece itself is stored: an
// attempt that finds it stored doesn't look again.
func (a *Activities) warn(ctx context.Context, j job) func(media.Loss) error {
	return func(loss media.Loss) error {
		return a.Catalog.Project(ctx, j.leg, func(v *catalog.Video) {
			v.Warnings = joined(v.Warnings, loss.Warnings(j.found.Info))
		})
	}
}

// job is what every media activity after the probe begins with.
type job struct {
	leg    catalog.Leg
	found  findings
	tools  *media.Tools // with the threads of the plan
	source media.Source
	made   []catalog.Object // what the primary has of it, by the manifest
	shown  []video.Rendition
}

func (a *Activities) begin(ctx context.Context, in workflows.Leg, work string) (job, error) {
	leg := fence(in)
	if err := a.Catalog.Enter(ctx, leg, nil); err != nil {
		return job{}, err
	}
	if err := a.mustNotHandBack(ctx, in.ID, work); err != nil {
		return job{}, err
	}
	return a.job(ctx, leg)
}

// job reads what a leg that was entered works on.
func (a *Activities) job(ctx context.Context, leg catalog.Leg) (job, error) {
	j := job{leg: leg}
	v, err := a.Catalog.Video(ctx, leg.Video)
	if err != nil {
		return job{}, err
	}
	var there bool
	if j.found, there, err = findingsIn(v); err == nil && !there {
		err = video.Errorf(video.Internal, "The findings of the probe are missing.")
	}
	if err == nil && len(v.Renditions) > 0 {
		err = json.Unmarshal(v.Renditions, &j.shown)
	}
	if err != nil {
		return job{}, err
	}
	tools := *a.Media
	tools.Threads = max(1, j.found.Threads)
	j.tools = &tools
	if j.source, err = a.source(ctx, leg.Video); err != nil {
		return job{}, err
	}
	j.made, err = a.Catalog.Objects(ctx, leg.Video, catalog.Filter{Store: a.Stores.Primary.Name(), Stored: true})
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

// EncodePiece encodes one piece in all renditions, unless the manifest has it
// already.
func (a *Activities) EncodePiece(ctx context.Context, in workflows.PieceInput) (workflows.Probed, error) {
	defer heart(ctx)()
	work := pieceWork(in.Piece)
	j, err := a.begin(ctx, in.Leg, work)
	if err != nil {
		return workflows.Probed{}, err
	}
	ladder, pieces := j.found.Ladder, j.found.Pieces
	if in.Piece < 0 || in.Piece >= len(pieces) {
		return workflows.Probed{}, video.Errorf(video.Internal, "The plan has no piece %d.", in.Piece)
	}
	if !encoded(ofKind(j.made, catalog.KindPiece), ladder, in.Piece) {
		err = j.tools.EncodePiece(ctx, j.source, j.found.Info, ladder, pieces[in.Piece], a.warn(ctx, j), func(rendition string, file io.ReadSeeker, size int64) error {
			return a.keep(ctx, j.leg, catalog.Object{
				Key:  manifest.NewKey(in.ID, fmt.Sprintf("piece/%s/%d", rendition, in.Piece), ".mp4"),
				Kind: catalog.KindPiece, Rendition: rendition, Index: in.Piece,
			}, file)
		})
	}
	if err != nil {
		return a.concluded(ctx, mediaWork{in.ID, work, j.found.Info}, err)
	}
	return workflows.Probed{}, a.countPieces(ctx, j.leg, ladder[0].Name)
}

func encoded(made []catalog.Object, ladder []video.Rendition, piece int) bool {
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
	return a.writer().PutSealed(ctx, leg, o, plain)
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

// EncodeAudio encodes the sound, unless the manifest has it already. Sound that breaks the
// encoder is no end of the video: it is published silent.
func (a *Activities) EncodeAudio(ctx context.Context, in workflows.Leg) (workflows.Probed, error) {
	defer heart(ctx)()
	j, err := a.begin(ctx, in, audioWork)
	if err != nil || len(ofKind(j.made, catalog.KindAudio)) > 0 {
		return workflows.Probed{}, err
	}
	keep := func(_ string, file io.ReadSeeker, _ int64) error {
		return a.keep(ctx, j.leg, catalog.Object{Key: manifest.NewKey(in.ID, "audio/whole", ".mp4"), Kind: catalog.KindAudio}, file)
	}
	err = j.tools.EncodeAudio(ctx, j.source, j.found.Info, a.warn(ctx, j), keep)
	broken, err := a.brokenByUpload(ctx, mediaWork{in.ID, audioWork, j.found.Info}, err)
	if broken {
		err = j.tools.Silence(ctx, j.found.Info, a.warn(ctx, j), keep)
	}
	return workflows.Probed{}, err
}
