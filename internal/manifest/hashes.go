package manifest

import (
	"context"
	"crypto/sha256"
	"encoding"
	"hash"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// The hashes of an upload tell which file somebody has, to everyone who has it
// too. So they rest sealed, each as a column of its own.

// stateColumn is the identity under which the state of an upload's hash is sealed.
func stateColumn(id video.ID) string { return "uploads.hash_state/" + string(id) }

// AnnouncedColumn is the identity under which the SHA-256 that an author has
// announced is sealed, for catalog.Upload.ExpectedSHA256.
func AnnouncedColumn(id video.ID) string { return "uploads.expected_sha256/" + string(id) }

func sumColumn(id video.ID) string { return "uploads.sha256/" + string(id) }

// UploadDigest returns the SHA-256 of what is stored of an upload, ready for more.
func UploadDigest(ctx context.Context, v vault.Vault, u catalog.Upload) (hash.Hash, error) {
	h := sha256.New()
	if u.Offset == 0 {
		return h, nil
	}
	loan, err := v.Lend(ctx, u.Video)
	if err != nil {
		return nil, err
	}
	defer loan.Release()
	state, err := loan.Key().OpenColumn(stateColumn(u.Video), u.HashState)
	if err != nil {
		return nil, err
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, video.Errorf(video.Internal, "The state of the upload is damaged.").Because(err)
	}
	return h, nil
}

// FinishUpload records that all bytes of an upload are stored, with their SHA-256. It
// may be repeated, and fails as catalog.FinishUpload and vault.Lend do.
func FinishUpload(ctx context.Context, c *catalog.Catalog, v vault.Vault, id video.ID, sum []byte) error {
	loan, err := v.Lend(ctx, id)
	if err != nil {
		return err
	}
	sealed, err := loan.Key().SealColumn(sumColumn(id), sum)
	loan.Release()
	if err != nil {
		return err
	}
	return c.FinishUpload(ctx, id, sealed)
}

// UploadHashes opens the SHA-256 of a finished upload, and the one that its author
// announced; each is nil where there is none. It fails as vault.Lend does.
func UploadHashes(ctx context.Context, v vault.Vault, u catalog.Upload) (sum, announced []byte, err error) {
	loan, err := v.Lend(ctx, u.Video)
	if err != nil {
		return nil, nil, err
	}
	defer loan.Release()
	open := func(column string, sealed []byte) (plain []byte) {
		if err == nil && len(sealed) > 0 {
			plain, err = loan.Key().OpenColumn(column, sealed)
		}
		return plain
	}
	sum, announced = open(sumColumn(u.Video), u.SHA256), open(AnnouncedColumn(u.Video), u.ExpectedSHA256)
	return sum, announced, err
}
