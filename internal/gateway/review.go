package gateway

import (
	"context"
	"strings"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

// What a reviewer writes to the author rests sealed in the catalog: into the workflow
// goes nothing but who decides, as an opaque id, by which it is found again.

func noteColumn(id video.ID, author string) string {
	return "notes/sealed/" + string(id) + "/" + author
}

// requestOf is what a workflow is told of a command. What its sender writes is kept
// first: the workflow may show its decision at once.
func (g *Gateway) requestOf(ctx context.Context, v loaded, c video.Command, body video.CommandBody) (video.CommandRequest, error) {
	r := video.CommandRequest{KeepDraft: body.KeepDraft}
	if c != video.Approve && c != video.Reject {
		return r, nil
	}
	r.By = g.people.OwnerID(v.who.Name)
	comment := strings.TrimSpace(body.Comment)
	if c != video.Reject || comment == "" {
		return r, nil
	}
	n := catalog.Note{Video: v.row.ID, Author: r.By}
	err := vault.WithKey(ctx, g.vault, n.Video, func(k vault.Key) (err error) {
		n.Sealed, err = k.SealColumn(noteColumn(n.Video, n.Author), []byte(comment))
		return err
	})
	if err != nil {
		return r, err
	}
	return r, g.catalog.KeepNote(ctx, n)
}

// failureOf is why a video was refused, with what the reviewer wrote, if it was one.
func (g *Gateway) failureOf(ctx context.Context, row catalog.Video) (*video.Rejection, error) {
	if row.Failure == nil || row.Failure.Code != "reviewer" || row.DecidedBy == "" {
		return row.Failure, nil
	}
	n, err := g.catalog.NoteOf(ctx, row.ID, row.DecidedBy)
	if err != nil || len(n.Sealed) == 0 {
		return row.Failure, err
	}
	said := *row.Failure
	err = vault.WithKey(ctx, g.vault, row.ID, func(k vault.Key) error {
		plain, err := k.OpenColumn(noteColumn(row.ID, n.Author), n.Sealed)
		said.Comment = string(plain)
		return err
	})
	if code := video.CodeOf(err); err != nil && (code == video.Gone || code == video.NotFound) {
		return row.Failure, nil // its key is gone, and with it what was written
	}
	return &said, err
}
