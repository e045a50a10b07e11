package manifest

import (
	"context"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// PutCaption seals the captions of a video in a language and puts them into the primary
// store, in place of those that were there; replaced reports whether there were any. It fails
// as catalog.CommitCaption does.
func (w *Writer) PutCaption(ctx context.Context, id video.ID, language string, plain []byte) (replaced bool, err error) {
	o := catalog.Object{
		Video: id, Key: NewKey(id, "captions/"+language, ".vtt"), Kind: catalog.KindCaption, Rendition: language, PlainSize: int64(len(plain)),
	}
	loan, err := w.Vault.Lend(ctx, id)
	if err != nil {
		return false, vault.Missing(err)
	}
	sealed, err := loan.Key().Seal(o.Key, nil, plain)
	loan.Release()
	if err != nil {
		return false, err
	}
	err = (&write{Writer: w, right: byAuthor{&replaced}, store: w.Primary, object: o}).run(ctx, sealed)
	return replaced, err
}

// CopyCaption copies stored captions to another store, under the same key: o is their row in
// the primary, and body has been compared with its hash. It fails as
// catalog.CommitCaptionCopy does.
func (w *Writer) CopyCaption(ctx context.Context, to objects.Store, o catalog.Object, body []byte) error {
	o.ID, o.Version = 0, ""
	return (&write{Writer: w, right: byCopier{}, store: to, object: o, isCopy: true}).run(ctx, body)
}

// byAuthor is the right of whoever may change the captions.
type byAuthor struct{ replaced *bool }

func (byAuthor) intend(ctx context.Context, c *catalog.Catalog, o catalog.Object) (catalog.Object, error) {
	return c.IntendCaption(ctx, o)
}

func (r byAuthor) commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) error {
	return settle(ctx, func(ctx context.Context) (err error) {
		*r.replaced, err = c.CommitCaption(ctx, o)
		return err
	})
}

// byCopier is the right to copy captions as long as they are stored.
type byCopier struct{}

func (byCopier) intend(ctx context.Context, c *catalog.Catalog, o catalog.Object) (catalog.Object, error) {
	return c.IntendCaptionCopy(ctx, o)
}

func (byCopier) commit(ctx context.Context, c *catalog.Catalog, o catalog.Object) error {
	return settle(ctx, func(ctx context.Context) error { return c.CommitCaptionCopy(ctx, o) })
}
