package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
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

// notesOf returns what reviewers wrote of those videos that they have refused.
func (g *Gateway) notesOf(ctx context.Context, rows []catalog.Video) (map[video.ID][]catalog.Note, error) {
	var refused []video.ID
	for _, row := range rows {
		if row.Failure != nil && row.Failure.Code == "reviewer" && row.DecidedBy != "" {
			refused = append(refused, row.ID)
		}
	}
	if len(refused) == 0 {
		return nil, nil
	}
	return g.catalog.NotesOf(ctx, refused)
}

// openWords opens what people wrote of a video: its author, and the reviewer who refused
// it. Once its key is gone there is nothing, and no error.
func (g *Gateway) openWords(ctx context.Context, row catalog.Video, notes []catalog.Note) (a about.Video, comment string, err error) {
	notes = slices.DeleteFunc(notes, func(n catalog.Note) bool { return n.Author != row.DecidedBy || len(n.Sealed) == 0 })
	if len(row.Sealed) == 0 && len(notes) == 0 {
		return about.Video{}, "", nil
	}
	err = vault.WithKey(ctx, g.vault, row.ID, func(k vault.Key) (err error) {
		if a, err = about.OpenWith(k, row.ID, row.Sealed); err != nil {
			return err
		}
		for _, n := range notes {
			plain, err := k.OpenColumn(noteColumn(row.ID, n.Author), n.Sealed)
			if err != nil {
				return err
			}
			comment = string(plain)
		}
		return nil
	})
	if code := video.CodeOf(err); err != nil && (code == video.Gone || code == video.NotFound) {
		return about.Video{}, "", nil
	}
	return a, comment, err
}

// failure is why a video was refused, with what the reviewer wrote, if it was one.
func (v loaded) failure() *video.Rejection {
	if v.comment == "" {
		return v.row.Failure
	}
	said := *v.row.Failure
	said.Comment = v.comment
	return &said
}
