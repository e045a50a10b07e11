package activities

import (
	"bytes"
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
	"github.com/reelflow/reelflow/workflows"
)

// SealUpload closes a finished upload: its manifest must hold every byte, in
// stretches without a gap. What its author declared must agree with what came.
func (a *Activities) SealUpload(ctx context.Context, leg workflows.Leg) (workflows.Sealed, error) {
	u, err := a.Catalog.UploadOf(ctx, leg.ID)
	if err != nil {
		return workflows.Sealed{}, err
	}
	if u.FinishedAt.IsZero() {
		return workflows.Sealed{}, video.Errorf(video.Unavailable, "The upload is not complete yet.")
	}
	segments, err := a.sourceSegments(ctx, leg.ID)
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
	sealed := workflows.Sealed{Bytes: u.Offset, Segments: len(segments), Rejected: faultOf(u)}
	return sealed, nil
}

// faultOf says why what came can't be what its author meant to send.
func faultOf(u catalog.Upload) *video.Rejection {
	switch {
	case u.Offset == 0:
		return &video.Rejection{Code: "not_a_video", Message: "The file is empty. Choose another one and upload it again."}
	case len(u.ExpectedSHA256) > 0 && !bytes.Equal(u.ExpectedSHA256, u.SHA256):
		return &video.Rejection{Code: "damaged", Message: "What arrived is not what was announced: the SHA-256 differs. Upload the file again."}
	}
	return nil
}

// sourceSegments are the sealed stretches of the upload, in order and without a gap.
func (a *Activities) sourceSegments(ctx context.Context, id video.ID) ([]catalog.Object, error) {
	segments, err := a.Catalog.Objects(ctx, id, catalog.Filter{
		Store: a.Stores.Primary.Name(), Kind: catalog.KindSource, Stored: true,
	})
	if err != nil {
		return nil, err
	}
	var end int64
	for _, s := range segments {
		if s.Offset != end {
			return nil, video.Errorf(video.Internal, "The manifest of the upload has a gap.")
		}
		end += s.PlainSize
	}
	return segments, nil
}
