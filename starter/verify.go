package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/reelflow/reelflow/video"
)

type verifyCommand struct {
	clientOnly `kong:"-"`
	What       string `arg:"" name:"id-or-file" help:"Id of an erased video, or a file with its receipt."`
}

// Run checks what a receipt says about itself: that it is whole and that every
// store was found empty.
func (c *verifyCommand) Run(s *shell) error {
	raw, id, err := c.read(s)
	if err != nil {
		return err
	}
	receipt, err := checkReceipt(raw, id)
	if err != nil {
		return err
	}
	for _, store := range receipt.Stores {
		fmt.Fprintf(s.out, "%s: removed %s; nothing was found afterwards\n", store.Store, countsOf(store.Removed))
	}
	fmt.Fprintf(s.out, "ok: %s, key destroyed %s\n", receipt.Reason, moment(&receipt.KeyDestroyedAt))
	return nil
}

// read takes the receipt from a file where there is one of that name.
func (c *verifyCommand) read(s *shell) ([]byte, video.ID, error) {
	raw, err := os.ReadFile(c.What)
	if err == nil {
		return raw, "", nil
	}
	id, notID := video.ParseID(c.What)
	if notID != nil || !errors.Is(err, fs.ErrNotExist) {
		return nil, "", wrongUse{fmt.Sprintf("%q is neither the id of a video nor a file that can be read", c.What)}
	}
	gateway, err := s.gateway()
	if err != nil {
		return nil, "", err
	}
	raw, err = gateway.Receipt(s.ctx, id)
	return raw, id, err
}

// checkReceipt fails, with everything that is wrong, unless the receipt proves an
// erasure; of id, when that is known.
func checkReceipt(raw []byte, id video.ID) (video.Receipt, error) {
	receipt, err := readReceipt(raw)
	if err != nil {
		return receipt, err
	}
	var wrong []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	sum, err := hex.DecodeString(receipt.VideoSHA256)
	add(err != nil || len(sum) != 32, "video_sha256 is not a SHA-256")
	add(id != "" && receipt.VideoSHA256 != id.Hash(), "the receipt is of another video")
	add(receipt.Reason == "", "the reason is missing")
	add(receipt.HiddenAt.IsZero(), "hidden_at is missing")
	add(receipt.KeyDestroyedAt.IsZero(), "key_destroyed_at is missing")
	add(receipt.KeyDestroyedAt.Before(receipt.HiddenAt), "the key was destroyed before the video was hidden")
	add(len(receipt.Stores) == 0, "no store is named")
	for _, store := range receipt.Stores {
		add(!store.FoundAfter.Empty(), "%s: %s were found after the purge", store.Store, countsOf(store.FoundAfter))
	}
	return receipt, errors.Join(wrong...)
}

func readReceipt(raw []byte) (receipt video.Receipt, err error) {
	if json.Unmarshal(raw, &receipt) != nil {
		return receipt, errors.New("this is not a receipt, which is a JSON document as `starter receipt ID` prints it")
	}
	return receipt, nil
}

func countsOf(c video.Counts) string {
	if c.Empty() {
		return "nothing"
	}
	return fmt.Sprintf("%d objects, %d versions, %d delete markers, %d multiparts", c.Objects, c.Versions, c.DeleteMarkers, c.Multiparts)
}
