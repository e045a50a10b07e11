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
		n.Sealed, err = k.SealColumn(n.Column(), []byte(comment))
		return err
	})
	if err != nil {
		return r, err
	}
	return r, g.catalog.KeepNote(ctx, n)
}

// notesOf returns what is written of those videos that reviewers, or the media work, have
// refused.
func (g *Gateway) notesOf(ctx context.Context, rows []catalog.Video) (map[video.ID][]catalog.Note, error) {
	var refused []video.ID
	for _, row := range rows {
		if noteAuthor(row) != "" {
			refused = append(refused, row.ID)
		}
	}
	if len(refused) == 0 {
		return nil, nil
	}
	return g.catalog.NotesOf(ctx, refused)
}

// noteAuthor is whose note says why a video was refused, if one does.
func noteAuthor(row catalog.Video) string {
	switch {
	case row.Failure == nil:
		return ""
	case row.Failure.Code == "reviewer":
		return row.DecidedBy
	case row.Failure.Code == "unsupported":
		return catalog.MachineNote
	}
	return ""
}

// openWords opens what is written of a video: by its author, and by whoever refused
// it. Once its key is gone there is nothing, and no error.
func (g *Gateway) openWords(ctx context.Context, row catalog.Video, notes []catalog.Note) (a about.Video, note string, err error) {
	notes = slices.DeleteFunc(notes, func(n catalog.Note) bool { return n.Author != noteAuthor(row) || len(n.Sealed) == 0 })
	if len(row.Sealed) == 0 && len(notes) == 0 {
		return about.Video{}, "", nil
	}
	err = vault.WithKey(ctx, g.vault, row.ID, func(k vault.Key) (err error) {
		if a, err = about.OpenWith(k, row.ID, row.Sealed); err != nil {
			return err
		}
		for _, n := range notes {
			plain, err := k.OpenColumn(n.Column(), n.Sealed)
			if err != nil {
				return err
			}
			note = string(plain)
		}
		return nil
	})
	if code := video.CodeOf(err); err != nil && (code == video.Gone || code == video.NotFound) {
		return about.Video{}, "", nil
	}
	return a, note, err
}

// failure is why a video was refused, with what the reviewer wrote, if it was one. What
// the media work said is for operators.
func (v loaded) failure() *video.Rejection {
	if v.note == "" {
		return v.row.Failure
	}
	said := *v.row.Failure
	switch {
	case said.Code == "reviewer":
		said.Comment = v.note
	case slices.Contains(v.roles, video.Operator):
		said.Log = v.note
	}
	return &said
}
