#include "bindings/state/embedding.h"

#include "bindings/host/native.h"

int neap_embedding_init(struct neap_embedding *embedding, const struct neap_config *config) {
    embedding->config = *config;
    embedding->natives = NULL;
    return -pthread_mutex_init(&embedding->sinks, NULL);
}

void neap_embedding_fini(struct neap_embedding *embedding) {
    neap_native_forget_all(embedding);
    pthread_mutex_destroy(&embedding->sinks);
}

void neap_embedding_write(struct neap_embedding *embedding, const char *bytes, size_t length) {
    if (embedding->config.on_output == NULL || length == 0) return;
    pthread_mutex_lock(&embedding->sinks);
    embedding->config.on_output(embedding->config.context, bytes, length);
    pthread_mutex_unlock(&embedding->sinks);
}

void neap_embedding_say(struct neap_embedding *embedding, const char *text, size_t length) {
    if (embedding->config.on_log == NULL) return;
    if (length > 0 && text[length - 1] == '\n') length--;
    pthread_mutex_lock(&embedding->sinks);
    embedding->config.on_log(embedding->config.context, text, length);
    pthread_mutex_unlock(&embedding->sinks);
}

bool neap_embedding_failed(struct neap_embedding *embedding, const struct neap_failure *failure) {
    if (embedding == NULL || embedding->config.on_error == NULL) return false;
    pthread_mutex_lock(&embedding->sinks);
    embedding->config.on_error(embedding->config.context, failure);
    pthread_mutex_unlock(&embedding->sinks);
    return true;
}

bool neap_embedding_take(struct neap_engine *engine, bool is_error, const char *bytes, size_t size) {
    struct neap_embedding *embedding = engine->embedding;
    if (is_error && neap_embedding_takes_reports(embedding))
        neap_embedding_say(embedding, bytes, size);
    else if (!is_error && neap_embedding_takes_output(embedding))
        neap_embedding_write(embedding, bytes, size);
    else
        return false;
    return true;
}
