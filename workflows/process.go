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
	if err := l.run(ctx, "SealUpload", "seal the upload", leg, &sealed); err != nil {
		return err
	}
	if err := l.accept(sealed.Rejected); err != nil || !sealed.ShortSegments {
		return err
	}
	return l.run(ctx, "MergeUpload", "merge the short segments of the upload", leg, nil)
}

func (l *life) probe(ctx workflow.Context, leg Leg) error {
	var probed Probed
	if err := l.run(ctx, "Probe", "probe", leg, &probed); err != nil {
		return err
	}
	l.kept.Plan = probed.Plan
	clear(l.encoded)
	return l.accept(probed.Rejected)
}

// encode runs every piece, and the sound beside them. A leg after a pause or a failure
// asks for those that this run hasn't seen done; those that are done all the same
// are found in the manifest.
func (l *life) encode(ctx workflow.Context, leg Leg) error {
	l.progress(len(l.encoded), l.kept.Plan.Pieces)
	var works []work
	for n := range l.kept.Plan.Pieces {
		if l.encoded[n] {
			continue
		}
		summary := fmt.Sprintf("encode piece %d of %d", n+1, l.kept.Plan.Pieces)
		works = append(works, work{l.startPiece(ctx, summary, PieceInput{leg, n}), func() {
			l.encoded[n] = true
			l.progress(len(l.encoded), l.kept.Plan.Pieces)
		}})
	}
	if l.kept.Plan.Audio {
		works = append(works, work{l.start(ctx, "EncodeAudio", "encode the sound", leg), func() {}})
	}
	return l.all(ctx, works)
}

func (l *life) startPiece(ctx workflow.Context, summary string, in PieceInput) workflow.Future {
	ctx = l.withOptions(ctx, "EncodePiece", summary)
	if in.Piece < firstPieces {
		options := workflow.GetActivityOptions(ctx)
		options.Priority.PriorityKey = table["Probe"].priority
		ctx = workflow.WithActivityOptions(ctx, options)
	}
	return workflow.ExecuteActivity(ctx, "EncodePiece", in)
}

// work is an activity under way, and what to note when it has succeeded.
type work struct {
	result workflow.Future
	done   func()
}

// all waits for every piece of work, also after one has failed: a leg is over
// only when nothing of it runs.
func (l *life) all(ctx workflow.Context, works []work) error {
	left := len(works)
	var errs []error
	for _, w := range works {
		workflow.Go(l.root, func(root workflow.Context) {
			var probed Probed
			err := w.result.Get(root, &probed)
			if err == nil {
				err = l.accept(probed.Rejected)
			}
			if err == nil {
				w.done()
			} else {
				errs = append(errs, err)
			}
			left--
		})
	}
	l.await(func() bool { return left == 0 })
	return errors.Join(errs...)
}

func (l *life) packageUp(ctx workflow.Context, leg Leg) error {
	var probed Probed
	if err := l.run(ctx, "Package", "package as HLS", leg, &probed); err != nil {
		return err
	}
	return l.accept(probed.Rejected)
}

// accept sets the life aside when the media was refused: hidden, and kept for a while.
func (l *life) accept(rejected *video.Rejection) error {
	if rejected == nil {
		return nil
	}
	if !l.leaving() {
		l.reject(*rejected)
		l.interruptLeg()
		l.writeFence()
		l.render()
	}
	return errEnding
}
