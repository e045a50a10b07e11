package activities

import (
	"bytes"
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/manifest"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// SealUpload closes a finished upload: its manifest must hold every byte, in
// stretches without a gap. What its author declared must agree with what came.
func (a *Activities) SealUpload(ctx context.Context, leg workflows.Leg) (workflows.Sealed, error) {
	u, err := a.finishedUpload(ctx, leg.ID)
	if err != nil {
		return workflows.Sealed{}, err
	}
	rows, err := a.sourceRows(ctx, leg.ID)
	if err != nil {
		return workflows.Sealed{}, err
	}
	stored, err := storedSegments(rows)
	if err != nil {
		return workflows.Sealed{}, err
	}
	fault, err := a.faultOf(ctx, u)
	if err != nil {
		return workflows.Sealed{}, err
	}
	err = a.Catalog.Enter(ctx, fence(leg), func(v *catalog.Video) {
		v.Stage, v.WaitingFor = video.Processing, ""
		v.Unit, v.Done, v.Total = "segments", 0, 0
	})
	if err != nil {
		return workflows.Sealed{}, err
	}
	return workflows.Sealed{Bytes: u.Offset, Segments: len(stored), ShortSegments: needMerge(rows, stored), Rejected: fault}, nil
}

func (a *Activities) finishedUpload(ctx context.Context, id video.ID) (catalog.Upload, error) {
	u, err := a.Catalog.UploadOf(ctx, id)
	if err == nil && u.FinishedAt.IsZero() {
		err = video.Errorf(video.Unavailable, "The upload is not complete yet.")
	}
	return u, err
}

// faultOf says why what came can't be what its author meant to send.
func (a *Activities) faultOf(ctx context.Context, u catalog.Upload) (*video.Rejection, error) {
	if u.Offset == 0 {
		return &video.Rejection{Code: "not_a_video", Message: "The file is empty. Choose another one and upload it again."}, nil
	}
	sum, announced, err := manifest.UploadHashes(ctx, a.Vault, u)
	if err != nil || announced == nil || bytes.Equal(sum, announced) {
		return nil, err
	}
	return &video.Rejection{Code: "damaged", Message: "What arrived is not what was announced: the SHA-256 differs. Upload the file again."}, nil
}

// sourceSegments are the sealed stretches of the upload, in order and without a gap.
func (a *Activities) sourceSegments(ctx context.Context, id video.ID) ([]catalog.Object, error) {
	rows, err := a.sourceRows(ctx, id)
	if err != nil {
		return nil, err
	}
	return storedSegments(rows)
}

// sourceRows are all that the manifest says of the upload in the primary store, in any state.
func (a *Activities) sourceRows(ctx context.Context, id video.ID) ([]catalog.Object, error) {
	return a.Catalog.Objects(ctx, id, catalog.Filter{Store: a.Stores.Primary.Name(), Kind: catalog.KindSource})
}

func storedSegments(rows []catalog.Object) (stored []catalog.Object, err error) {
	var end int64
	for _, s := range rows {
		if s.State != catalog.ObjectStored {
			continue
		}
		if s.Offset != end {
			return nil, video.Errorf(video.Internal, "The manifest of the upload has a gap.")
		}
		end += s.PlainSize
		stored = append(stored, s)
	}
	return stored, nil
}
