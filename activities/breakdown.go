package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// Media work that breaks down is tried again, for it may be the machine. If it is the
// upload, that would go on for ever. So each process notes, sealed in the catalog, how its
// ffmpeg ended; two processes of one release that break down by the same exit, and
// can do the same work with the samples, say that it is the upload. The process that broke
// down first hands the work back for a while, so that another one may take it; if none
// has by then, it tries once more, and its own word must do.

// Process tells this process from others that take the same work.
type Process struct {
	ID      string // its own since it started
	Release string // of the worker and of its ffmpeg: others may do better
}

// handBackTime is how long the process that broke down first hands the work back.
const handBackTime = 30 * time.Second

// noted is what a process notes of work that broke down, the first time that it ended so.
type noted struct {
	Exit    string    `json:"exit"`
	Release string    `json:"release"`
	At      time.Time `json:"at"`
}

// Names of media work, as breakdowns are noted under them.
const (
	probeWork   = "Probe"
	audioWork   = "EncodeAudio"
	packageWork = "Package"
)

func pieceWork(piece int) string { return fmt.Sprintf("EncodePiece/%d", piece) }

const breakdownNotes = "breakdown/" // then the work, then the process

// breakdowns returns what processes have noted of some work, by their ids.
func (a *Activities) breakdowns(ctx context.Context, id video.ID, work string) (map[string]noted, error) {
	all, err := a.Catalog.NotesOf(ctx, []video.ID{id})
	if err != nil {
		return nil, err
	}
	found := map[string]noted{}
	for _, n := range all[id] {
		process, of := strings.CutPrefix(n.Author, breakdownNotes+work+"/")
		if !of {
			continue
		}
		var plain []byte
		err := a.withKey(ctx, id, func(k vault.Key) (err error) {
			plain, err = k.OpenColumn(n.Column(), n.Sealed)
			return err
		})
		if err != nil {
			return nil, err
		}
		var one noted
		if json.Unmarshal(plain, &one) == nil { // else of another release
			found[process] = one
		}
	}
	return found, nil
}

// note keeps a note under the key of the video.
func (a *Activities) note(ctx context.Context, id video.ID, author string, plain []byte) error {
	n := catalog.Note{Video: id, Author: author}
	err := a.withKey(ctx, id, func(k vault.Key) (err error) {
		n.Sealed, err = k.SealColumn(n.Column(), plain)
		return err
	})
	if err != nil {
		return err
	}
	return a.Catalog.KeepNote(ctx, n)
}

// handedBack is the error of work that another process is to take.
type handedBack struct {
	why   *video.Error
	after time.Duration // until the next attempt
}

func (h *handedBack) Error() string { return h.why.Error() }

func (h *handedBack) Unwrap() error { return h.why }

// mustNotHandBack fails if this process was the first to break down at the work, and
// another may still take it.
func (a *Activities) mustNotHandBack(ctx context.Context, id video.ID, work string) error {
	found, err := a.breakdowns(ctx, id, work)
	if err != nil {
		return err
	}
	own, broke := found[a.Process.ID]
	gone := time.Since(own.At)
	if !broke || own.Release != a.Process.Release || gone >= a.handBackTime() {
		return nil
	}
	return &handedBack{
		why: video.Errorf(video.Unavailable, "This process has failed at the work; another one is to try."),
		// Ever longer, so that the attempts of a leg last for all of the time.
		after: min(a.handBackTime()-gone, max(a.handBackTime()/10, 2*gone)),
	}
}

func (a *Activities) handBackTime() time.Duration {
	if a.handBack > 0 {
		return a.handBack
	}
	return handBackTime
}

// breaksMessage is for the author of an upload that breaks ffmpeg.
const breaksMessage = "This video can't be processed here: each attempt fails at the same place. " +
	"Export it again, as H.264 in an MP4 file, and upload the new file."

// mediaWork is media work on an upload; info is what is known of it by then.
type mediaWork struct {
	id   video.ID
	name string
	info media.Info
}

// concluded is the outcome of media work that ended with err. The media package's
// verdict is a result, no failure of the activity, and so is a breakdown that is the upload's
// fault. Every other error stays one.
func (a *Activities) concluded(ctx context.Context, work mediaWork, err error) (workflows.Probed, error) {
	if r, ok := errors.AsType[*media.Rejection](err); ok {
		return workflows.Probed{Rejected: &video.Rejection{Code: string(r.Code), Message: r.Message}}, nil
	}
	broken, err := a.brokenByUpload(ctx, work, err)
	if !broken {
		return workflows.Probed{}, err
	}
	return workflows.Probed{Rejected: &video.Rejection{Code: string(media.Unsupported), Message: breaksMessage}}, nil
}

// brokenByUpload reports whether err is a breakdown that is the upload's fault; then what
// ffmpeg said last is kept for operators. Otherwise it returns why the work is to be
// tried again: err itself, or what stands in the way of telling.
func (a *Activities) brokenByUpload(ctx context.Context, work mediaWork, err error) (bool, error) {
	broke, is := errors.AsType[*media.Breakdown](err)
	if !is {
		return false, err
	}
	log := a.Log.With("video", work.id, "work", work.name, "exit", broke.Exit)
	log.Warn("media work broke down", "error", err)
	if unfit := a.Media.MustStillWork(ctx, work.info); unfit != nil {
		return false, unfit
	}
	proved, failed := a.proves(ctx, work.id, work.name, broke.Exit)
	if failed != nil {
		return false, failed
	}
	if !proved {
		return false, err
	}
	log.Warn("the upload breaks the media work")
	if failed := a.note(ctx, work.id, catalog.MachineNote, []byte(work.name+": "+broke.Words)); failed != nil {
		return false, failed
	}
	return true, nil
}

// proves notes that this process ended by an exit, and reports whether with what is noted
// by then that proves the upload's fault.
func (a *Activities) proves(ctx context.Context, id video.ID, work, exit string) (bool, error) {
	found, err := a.breakdowns(ctx, id, work)
	if err != nil {
		return false, err
	}
	now := noted{Exit: exit, Release: a.Process.Release, At: time.Now()}
	alone, proved := true, false
	for process, n := range found {
		if process == a.Process.ID || n.Release != now.Release {
			continue
		}
		alone, proved = false, proved || n.Exit == now.Exit
	}
	if own := found[a.Process.ID]; own.Exit == now.Exit && own.Release == now.Release {
		now.At = own.At
		proved = proved || alone && time.Since(own.At) >= a.handBackTime()
	}
	facts, err := json.Marshal(now)
	if err != nil {
		return false, err
	}
	return proved, a.note(ctx, id, breakdownNotes+work+"/"+a.Process.ID, facts)
}
