package uploads

import (
	"context"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/video"
)

const (
	announceEvery = 2 * time.Second
	announceBatch = 100
	announceWait  = 5 * time.Second // for one video
)

// finishUpload records that all bytes are stored and tells the workflow. Without a
// sum it is worked out. It may be repeated at any time, by any gateway.
func (s *Server) finishUpload(ctx context.Context, row catalog.Upload, sum []byte) error {
	ctx, cancel := context.WithTimeout(ctx, announceWait)
	defer cancel()
	if row.FinishedAt.IsZero() {
		if err := s.recordFinish(ctx, row, sum); err != nil {
			return err
		}
	}
	if err := s.host.Uploaded(ctx, row.Video); err != nil {
		return err
	}
	return s.catalog.MarkAnnounced(ctx, row.Video)
}

func (s *Server) recordFinish(ctx context.Context, row catalog.Upload, sum []byte) error {
	if sum == nil {
		digest, err := manifest.UploadDigest(ctx, s.vault, row)
		if err != nil {
			return err
		}
		sum = digest.Sum(nil)
	}
	return manifest.FinishUpload(ctx, s.catalog, s.vault, row.Video, sum)
}

// remind wakes the loop that announces.
func (s *Server) remind() {
	select {
	case s.overdue <- struct{}{}:
	default: // it has been woken already
	}
}

// announceLoop finishes and announces, until ctx ends, what a gateway that died
// or could not reach the workflow has left: uploads that have every byte while
// their workflow does not know.
func (s *Server) announceLoop(ctx context.Context) {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.overdue:
		}
		s.announceAll(ctx)
	}
}

func (s *Server) announceAll(ctx context.Context) {
	ids, err := s.catalog.Unannounced(ctx, announceBatch)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("finished uploads could not be listed", "error", err)
	}
	for _, id := range ids {
		row, err := s.catalog.UploadOf(ctx, id)
		if err == nil {
			err = s.finishUpload(ctx, row, nil)
		}
		// A conflict is a pause, Gone an end: the one will pass, the other has its own way out.
		if code := video.CodeOf(err); err != nil && ctx.Err() == nil && code != video.Conflict && code != video.Gone {
			s.log.Warn("a finished upload is still to be announced", "video", id, "error", err)
		}
	}
}
