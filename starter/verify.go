package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/receipts"
	"github.com/reelflow/reelflow/video"
)

type verifyCommand struct {
	What   string `arg:"" name:"id-or-file" help:"Id of an erased video, or a file with its receipt."`
	ID     string `name:"id" placeholder:"ID" help:"Id of the video whose receipt is in the file, which has only its SHA-256: stores and gateway are asked by the id."`
	Keys   string `name:"keys" placeholder:"FILE" help:"The public keys, a JWK set, as you had them before or from somebody you trust; else the gateway is asked."`
	Strict bool   `name:"strict" help:"Fail also when something could not be checked."`
}

// verifySettings are where the gateway is, and the stores, with credentials that may list.
var verifySettings = []string{"url", "token", "public-url", "primary", "backups"}

// Uses implements config.Chooser.
func (verifyCommand) Uses(setting string) bool { return slices.Contains(verifySettings, setting) }

// UsesTemporal implements config.Chooser.
func (verifyCommand) UsesTemporal() bool { return false }

// Run believes nobody: it checks what the receipt says about itself and its signature, lists
// every store again, and asks the gateway for the video. It prints what it has checked and
// what it could not, and fails when anything is not as the receipt says.
func (c *verifyCommand) Run(s *shell) error {
	raw, id, err := c.read(s)
	if err != nil {
		return err
	}
	receipt, err := checkReceipt(raw, id)
	if err != nil {
		return err
	}
	v := &verification{shell: s, receipt: receipt, id: id}
	for _, store := range receipt.Stores {
		fmt.Fprintf(s.out, "%s: removed %s; nothing was found afterwards\n", store.Store, countsOf(store.Removed))
	}
	v.signature(c.Keys)
	v.stores()
	v.gateway()
	v.validation()
	if err := errors.Join(v.wrong...); err != nil {
		return err
	}
	if c.Strict && v.unchecked > 0 {
		return fmt.Errorf("nothing is wrong, but %d of the checks could not be made", v.unchecked)
	}
	fmt.Fprintf(s.out, "ok: %s, key destroyed %s", receipt.Reason, moment(&receipt.KeyDestroyedAt))
	if v.unchecked > 0 {
		fmt.Fprintf(s.out, "; %d of the checks could not be made", v.unchecked)
	}
	fmt.Fprintln(s.out)
	return nil
}

// read takes the receipt from a file where there is one of that name.
func (c *verifyCommand) read(s *shell) ([]byte, video.ID, error) {
	raw, err := os.ReadFile(c.What)
	if err == nil {
		if c.ID == "" {
			return raw, "", nil
		}
		id, err := video.ParseID(c.ID)
		if err != nil {
			return nil, "", wrongUse{fmt.Sprintf("%q is not the id of a video", c.ID)}
		}
		return raw, id, nil
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

// verification is what has been checked of a receipt so far.
type verification struct {
	*shell
	receipt   video.Receipt
	id        video.ID // empty where only its hash is known
	wrong     []error
	unchecked int
}

func (v *verification) holds(format string, args ...any) { fmt.Fprintf(v.out, format+"\n", args...) }

func (v *verification) fails(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Errorf(format, args...))
}

func (v *verification) unknown(format string, args ...any) {
	v.unchecked++
	fmt.Fprintf(v.out, "not checked: "+format+"\n", args...)
}

// signature checks the receipt by public keys from a file, or else the gateway's.
func (v *verification) signature(file string) {
	if v.receipt.JWS == "" {
		v.unknown("the receipt is not signed")
		return
	}
	whose := "that " + file + " has"
	keys, err := os.ReadFile(file)
	if file == "" {
		whose = "that the gateway itself publishes"
		keys, err = v.publishedKeys()
	}
	if err != nil {
		v.unknown("the signature, for there are no public keys: %s", explain(v.ctx, err))
		return
	}
	opened, err := receipts.Open(v.receipt.JWS, keys)
	if err == nil {
		err = receipts.CheckSame(v.receipt, opened)
	}
	if err != nil {
		v.fails("%w", err)
		return
	}
	v.holds("signature: all of the receipt is signed, by the key %s %s", opened.KeyID, whose)
}

func (v *verification) publishedKeys() ([]byte, error) {
	gateway, err := v.shell.gateway()
	if err != nil {
		return nil, err
	}
	return gateway.Fetch(v.ctx, "/v1/receipts/key")
}

// reachPatience is how long a store has to answer at all.
const reachPatience = 2 * time.Second

// stores lists every store again, in whatever form anything may exist there.
func (v *verification) stores() {
	if v.id == "" {
		v.unknown("what the stores hold, and what the gateway answers: the receipt has only the SHA-256 of the video's id; give that with --id")
		return
	}
	set, err := objects.OpenAll(string(v.Primary), v.Backups.Strings())
	if err != nil {
		v.unknown("the stores: %s", explain(v.ctx, err))
		return
	}
	for _, of := range v.receipt.Stores {
		store, err := set.ByName(of.Store)
		if err == nil {
			err = v.reach(store)
		}
		if err != nil {
			v.unknown("%s, which can't be listed from here: %s", of.Store, explain(v.ctx, err))
			continue
		}
		v.list(store)
	}
}

func (v *verification) reach(store objects.Store) error {
	ctx, cancel := context.WithTimeout(v.ctx, reachPatience)
	defer cancel()
	return store.Ready(ctx)
}

func (v *verification) list(store objects.Store) {
	found, err := store.Inventory(v.ctx, v.id.Prefix(), nil)
	switch {
	case err != nil:
		v.unknown("%s, which can't be listed from here: %s", store.Name(), explain(v.ctx, err))
	case !found.Empty():
		v.fails("%s holds something of the video again: %d objects, %d versions, %d delete markers, %d multiparts",
			store.Name(), found.Objects, found.Versions, found.DeleteMarkers, found.Multiparts)
	default:
		v.holds("%s: listed now, in all versions, delete markers and unfinished uploads: nothing is there", store.Name())
	}
}

// gateway asks for the video as a stranger does.
func (v *verification) gateway() {
	if v.id == "" {
		return // as said at the stores
	}
	address := v.PublicURL
	if address == "" {
		address = v.URL
	}
	asked := receipts.Gateway{Address: address}.Validate(v.ctx, v.id)
	if asked.Result == video.ValidationNotMade {
		v.unknown("what %s answers, for it can't be reached", address)
		return
	}
	for _, check := range asked.Checks {
		if !check.Passed {
			v.fails("%s: %s is answered with %s instead of 410 Gone", address, check.What, check.Answer)
		}
	}
	if asked.Result == video.ValidationPassed {
		v.holds("%s: all %d addresses of the video answer 410 Gone", address, len(asked.Checks))
	}
}

// validation is what a worker found when the receipt was closed.
func (v *verification) validation() {
	switch said := v.receipt.Validation; said.Result {
	case video.ValidationFailed:
		v.fails("the validation failed when the receipt was closed: %s", said.Why)
	case video.ValidationPassed:
		v.holds("validation: passed when the receipt was closed, at %s", said.Address)
	}
	for _, of := range v.receipt.Reappeared {
		if of.ErasedAt == nil {
			v.fails("%s was found to hold %s of the video again, and is not known to be empty yet", of.Store, countsOf(of.Found))
		} else {
			v.holds("%s: %s came back and were erased again %s", of.Store, countsOf(of.Found), moment(of.ErasedAt))
		}
	}
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
