package keycard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"keycard"
	"keycard/generated"
)

const password = "Correct-Horse-7"

// live is the address of a running Keycard whose access tokens live for a few seconds.
func live(t *testing.T) string {
	t.Helper()
	url := os.Getenv("KEYCARD_TEST_SERVER")
	if url == "" {
		t.Skip("KEYCARD_TEST_SERVER is not set; tests/clients/test_go.py starts a server and sets it")
	}
	return url
}

// wire counts what goes over it, and may lose the answer of the next refresh.
type wire struct {
	refreshes, turnedAway atomic.Int32
	losing                atomic.Bool
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusTooManyRequests {
		w.turnedAway.Add(1)
	}
	if request.URL.Path == "/v1/auth/refresh" {
		w.refreshes.Add(1)
		if w.losing.CompareAndSwap(true, false) {
			_ = response.Body.Close()
			return nil, errors.New("the answer was lost")
		}
	}
	return response, nil
}

var people atomic.Int32

// join registers somebody new and signs them in.
func join(t *testing.T, options ...keycard.Option) (*keycard.Client, *wire, string) {
	t.Helper()
	over := &wire{}
	client := keycard.New(live(t), append(options, keycard.WithTransport(over))...)
	name := fmt.Sprintf("go-%d-%d", time.Now().UnixNano(), people.Add(1))
	_, err := client.Register(ctx, generated.RegisterRequest{Username: name, Password: password})
	must(t, err)
	_, err = client.Login(ctx, name, password)
	must(t, err)
	return client, over, name
}

// trusting is a storage that says the tokens were good for another hour, so that only the server knows of their expiry.
type trusting struct{ box }

func (s *trusting) Save(ctx context.Context, tokens keycard.Tokens) error {
	tokens.ExpiresAt = time.Now().Add(time.Hour)
	return s.box.Save(ctx, tokens)
}

func TestJourney(t *testing.T) {
	for _, delivery := range []string{
		generated.LoginRequestDeliveryBody, generated.LoginRequestDeliveryHybrid, generated.LoginRequestDeliveryCookie,
	} {
		for name, storage := range map[string]keycard.Storage{"foreseen": &box{}, "found": &trusting{}} {
			delivery, storage := delivery, storage
			t.Run(delivery+"/expiry "+name, func(t *testing.T) {
				t.Parallel()
				journey(t, delivery, storage)
			})
		}
	}
}

func journey(t *testing.T, delivery string, storage keycard.Storage) {
	client, over, name := join(t, keycard.WithDelivery(delivery), keycard.WithStorage(storage))
	me, err := client.GetMe(ctx)
	must(t, err)
	if me.Username != name || over.refreshes.Load() != 0 {
		t.Fatalf("%s after %d refreshes", me.Username, over.refreshes.Load())
	}

	held, _ := storage.Load(ctx)
	time.Sleep(held.Lifetime) // the token cannot outlive this
	for _, err := range together(func() error { _, err := client.GetMe(ctx); return err }) {
		must(t, err)
	}
	if over.refreshes.Load() != 1 {
		t.Errorf("%d refreshes for %d calls", over.refreshes.Load(), waiting)
	}

	sessions, err := client.ListSessions(ctx, &generated.ListSessionsParams{Limit: 10})
	must(t, err)
	if len(sessions.Items) != 1 || !sessions.Items[0].Current || sessions.Items[0].Delivery != delivery {
		t.Errorf("%+v", sessions.Items)
	}

	_, err = client.ChangePassword(ctx, generated.PasswordChange{CurrentPassword: "Wrong-Horse-7", NewPassword: "Battery-Staple-8"})
	if problem := problemOf(t, err); problem.Slug != generated.SlugWrongPassword || problem.Status != 403 || problem.RequestID == "" {
		t.Errorf("%+v", problem)
	}
	// Both renew the session: the pair from before is dead, and calls that are under way go on with the new one.
	renewed := make(chan error)
	go func() {
		_, err := client.Reauthenticate(ctx, password)
		renewed <- err
	}()
	for _, err := range together(func() error { _, err := client.GetMe(ctx); return err }) {
		must(t, err)
	}
	must(t, <-renewed)
	must(t, client.Refresh(ctx))
	_, err = client.ChangePassword(ctx, generated.PasswordChange{CurrentPassword: password, NewPassword: "Battery-Staple-8"})
	must(t, err)
	must(t, client.Refresh(ctx))

	must(t, client.Logout(ctx))
	must(t, client.Logout(ctx))
	_, err = client.GetMe(ctx)
	for _, err := range []error{err, client.Refresh(ctx)} {
		if problem := problemOf(t, err); problem.Status != 401 || problem.Slug != generated.SlugAuthenticationRequired {
			t.Errorf("%+v", problem)
		}
	}
	if held, _ := storage.Load(ctx); held != (keycard.Tokens{}) {
		t.Errorf("still %+v", held)
	}
}

// The server has rotated, and nobody knows the new pair: the same refresh token is answered the same pair again.
func TestALostRefreshAnswerIsSurvived(t *testing.T) {
	client, over, _ := join(t)
	over.losing.Store(true)
	must(t, client.Refresh(ctx))
	if over.refreshes.Load() != 2 || over.losing.Load() {
		t.Errorf("%d refreshes", over.refreshes.Load())
	}
	must(t, client.Refresh(ctx))
	_, err := client.GetMe(ctx)
	must(t, err)
}

// A refresh token that somebody else has used up ends the session, and then nothing is held.
func TestReuseClearsTheStorage(t *testing.T) {
	storage := &box{}
	client, _, _ := join(t, keycard.WithStorage(storage))
	thief := keycard.New(live(t), keycard.WithStorage(&box{tokens: storage.held()}))
	must(t, thief.Refresh(ctx))
	must(t, thief.Refresh(ctx))
	err := client.Refresh(ctx)
	if problem := problemOf(t, err); problem.Slug != generated.SlugRefreshTokenReused || problem.Status != 401 {
		t.Errorf("%+v", problem)
	}
	if storage.held() != (keycard.Tokens{}) {
		t.Errorf("still %+v", storage.held())
	}
	_, err = thief.GetMe(ctx)
	if problem := problemOf(t, err); problem.Slug != generated.SlugSessionEnded {
		t.Errorf("%+v", problem)
	}
}

// The server allows one mail a second: who asks faster waits, and is not refused.
func TestTheServersRetryAfterIsObeyed(t *testing.T) {
	client, over, _ := join(t)
	for asked := 0; over.turnedAway.Load() == 0; asked++ {
		if asked == 20 {
			t.Fatal("the server never asked to wait")
		}
		must(t, client.ForgotPassword(ctx, generated.EmailRequest{Email: "nobody@example.com"}))
	}
}

// Faults of the input say where they are.
func TestInputErrorsAreTyped(t *testing.T) {
	_, err := keycard.New(live(t)).Register(ctx, generated.RegisterRequest{Username: "a b", Password: password})
	problem := problemOf(t, err)
	if problem.Slug != generated.SlugValidationFailed || len(problem.Errors) != 1 || problem.Errors[0].GetPointer() != "/username" {
		t.Errorf("%+v", problem)
	}
}
