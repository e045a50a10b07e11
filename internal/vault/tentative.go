package vault

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/reelflow/reelflow/video"
)

// tentative notes the keys whose video may never come to be: a file each, named
// by the hash of the id and holding the id itself, from before the key is made
// until it is confirmed or gone. So the few that were left behind are found
// without looking at all the others - and only those can be discarded: that the
// catalog doesn't know a video, as after a wrong restore, never costs a key that
// was confirmed.
type tentative struct {
	dir  string
	disk *disk
}

func (t tentative) path(h idHash) string { return filepath.Join(t.dir, h.String()) }

// note says that a key is about to be made. The caller holds the lock.
func (t tentative) note(h idHash, id video.ID) error {
	return t.disk.replace(t.path(h), []byte(id))
}

// settle says that there is nothing tentative any more. A power cut may bring
// the note back: then it is settled once more.
func (t tentative) settle(h idHash) error { return t.disk.remove(t.path(h)) }

func (t tentative) has(h idHash) (bool, error) {
	_, err := os.Stat(t.path(h))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// all lists the ids that are noted.
func (t tentative) all() (ids []video.ID, err error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			continue // of a writer that died, and made no key
		}
		text, err := os.ReadFile(filepath.Join(t.dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // settled meanwhile
		}
		if err != nil {
			return nil, err
		}
		id, err := video.ParseID(string(text))
		if err != nil || hashOf(id).String() != e.Name() {
			return nil, damaged(errors.New("tentative/" + e.Name() + " doesn't hold the id that it is named after"))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Tentative implements Vault.
func (v *FileVault) Tentative(ctx context.Context) iter.Seq2[video.ID, error] {
	return func(yield func(video.ID, error) bool) {
		err := v.usable(ctx)
		var ids []video.ID
		if err == nil {
			ids, err = v.new.all()
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
		if err != nil {
			yield("", fault(err))
		}
	}
}

// Confirm implements Vault.
func (v *FileVault) Confirm(ctx context.Context, id video.ID) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	return fault(v.new.settle(hashOf(id)))
}

// Discard implements Vault. As it excludes borrowers for as long as it looks and
// removes, nobody can have sealed anything in between.
func (v *FileVault) Discard(ctx context.Context, id video.ID, unused func(context.Context) error) error {
	if err := v.usable(ctx); err != nil {
		return err
	}
	h := hashOf(id)
	excluded, err := v.claims.exclude(h)
	if errors.Is(err, errClaimed) {
		return video.Errorf(video.Conflict, "The key of this video is in use.")
	}
	if err != nil {
		return fault(err)
	}
	defer excluded.Close() // nothing was written
	if err := unused(ctx); err != nil {
		return err
	}
	return fault(v.writing(ctx, func() error { return v.drop(h) }))
}

// drop removes a tentative key, and its note last: whoever dies in between
// leaves a note of nothing, which is dropped again.
func (v *FileVault) drop(h idHash) error {
	if err := v.standing(h.String()); err != nil {
		if video.CodeOf(err) == video.Gone {
			err = errors.Join(err, v.new.settle(h)) // whoever destroyed it died before that
		}
		return err
	}
	noted, err := v.new.has(h)
	if err != nil {
		return err
	}
	if !noted {
		return v.mustBeAbsent(h)
	}
	if err := v.tree.remove(h); err != nil {
		return err
	}
	return v.new.settle(h)
}

func (v *FileVault) mustBeAbsent(h idHash) error {
	var key [32]byte
	defer clear(key[:])
	found, err := v.tree.find(h, &key)
	if err == nil && found {
		err = video.Errorf(video.Conflict, "The key of this video was confirmed.")
	}
	return err
}
