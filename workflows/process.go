package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/reelflow/reelflow/video"
)

// process turns the upload into what is played: sealed off, probed, encoded in
// pieces by any number of workers, packaged.
func (l *life) process() error {
	l.enter(video.Processing)
	for _, step := range []func(workflow.Context, Leg) error{l.seal, l.probe, l.encode, l.packageUp} {
		if err := l.leg(step); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) seal(ctx workflow.Context, leg Leg) error {
	var sealed Sealed
	if err := run(ctx, "SealUpload", "seal the upload", leg, &sealed); err != nil {
		return err
	}
	return l.accept(sealed.Rejected)
}

func (l *life) probe(ctx workflow.Context, leg Leg) error {
	var probed Probed
	if err := run(ctx, "Probe", "probe", leg, &probed); err != nil {
		return err
	}
	l.plan = probed.Plan
	return l.accept(probed.Rejected)
}

// encode runs every piece, and the sound beside them. A leg after a pause asks
// for all of them again: pieces that are done are found in the manifest.
func (l *life) encode(ctx workflow.Context, leg Leg) error {
	l.progress(0, l.plan.Pieces)
	var works []work
	for n := range l.plan.Pieces {
		works = append(works, start(ctx, "EncodePiece", fmt.Sprintf("encode piece %d of %d", n+1, l.plan.Pieces), PieceInput{leg, n}))
	}
	if l.plan.Audio {
		works = append(works, start(ctx, "EncodeAudio", "encode the sound", leg))
	}
	return l.all(ctx, works)
}

// all waits for every piece of work, also after one has failed: a leg is over
// only when nothing of it runs.
func (l *life) all(ctx workflow.Context, works []work) error {
	var errs []error
	for _, w := range works {
		var probed Probed
		if err := w.Get(ctx, &probed); err != nil {
			errs = append(errs, err)
		} else if probed.Rejected != nil {
			errs = append(errs, l.accept(probed.Rejected))
		} else {
			l.progress(min(l.done+1, l.total), l.total)
		}
	}
	return errors.Join(errs...)
}

func (l *life) packageUp(ctx workflow.Context, leg Leg) error {
	var probed Probed
	if err := run(ctx, "Package", "package as HLS", leg, &probed); err != nil {
		return err
	}
	return l.accept(probed.Rejected)
}

// accept ends the life when the media was refused.
func (l *life) accept(rejected *video.Rejection) error {
	if rejected == nil {
		return nil
	}
	if l.state.Ending == "" {
		l.rejection = rejected
		l.end(video.ByRejection)
	}
	return errEnding
}
