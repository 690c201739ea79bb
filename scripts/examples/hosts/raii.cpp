// A C++17 program: what neap hands out is owned by objects, and its codes become exceptions.
//
// No exception passes through Lua: a function that scripts call catches its own, and tells the script.
//
//   squares: 1 4 9 16 25
//   caught: failed: no root of -1
//   the script says: string:1: out of patience
#include <neap.h>

#include <cmath>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

class Error : public std::runtime_error {
  public:
    Error(int code, const std::string &text) : std::runtime_error(std::string(neap_error_name(code)) + ": " + text) {}
};

struct FreeTable {
    void operator()(neap_table *table) const { neap_table_free(table); }
};

// An owned value.
class Value {
  public:
    Value() : value_(neap_nil()) {}
    explicit Value(neap_value value) : value_(value) {}
    Value(Value &&other) noexcept : value_(other.value_) { other.value_ = neap_nil(); }
    Value(const Value &) = delete;
    Value &operator=(const Value &) = delete;
    Value &operator=(Value &&) = delete;
    ~Value() { neap_value_clear(&value_); }
    const neap_value &operator*() const { return value_; }
    neap_value *get() { return &value_; }

  private:
    neap_value value_;
};

class Engine {
  public:
    explicit Engine(const neap_config &config) {
        int code = neap_engine_new(&config, &engine_);
        if (code != 0) throw Error(code, "no engine");
    }
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;
    ~Engine() { neap_engine_free(engine_); }

    void define(const char *name, neap_native function, void *argument) {
        check(neap_engine_register(engine_, name, function, argument));
    }

    Value call(const char *script, const neap_value &argument) {
        neap_function function = 0;
        Value result;
        check(neap_engine_load_string(engine_, script, &function));
        int code = neap_engine_await(engine_, function, &argument, 1, result.get(), 1);
        neap_engine_forget(engine_, function);
        check(code);
        return result;
    }

  private:
    void check(int code) const {
        if (code == 0) return;
        std::string text = neap_engine_message(engine_);
        throw Error(code, text.substr(0, text.find('\n')));
    }

    neap_engine *engine_ = nullptr;
};

double root(double number) {
    if (number < 0) throw std::domain_error("no root of " + std::to_string(static_cast<int>(number)));
    return std::sqrt(number);
}

int native_root(struct neap_native_call *call, void *) {
    try {
        const neap_value *number = neap_call_argument(call, 0);
        double from = number->kind == NEAP_INTEGER ? static_cast<double>(number->as.integer) : number->as.number;
        neap_value result = neap_number(root(from));
        return neap_call_return(call, &result);
    } catch (const std::exception &error) {
        return neap_call_fail(call, error.what());
    }
}

void print_squares(Engine &engine) {
    neap_table *made = nullptr;
    if (int code = neap_table_new(&made); code != 0) throw Error(code, "no table");
    std::unique_ptr<neap_table, FreeTable> numbers(made);
    for (std::int64_t i = 1; i <= 5; i++) {
        neap_value number = neap_integer(i);
        neap_table_append(numbers.get(), &number);
    }
    Value squares = engine.call("local t = ... for i, n in ipairs(t) do t[i] = n * n end return t",
                                neap_table_value(numbers.get()));
    std::cout << "squares:";
    for (std::size_t i = 1; i <= neap_table_length((*squares).as.table); i++)
        std::cout << ' ' << neap_table_item((*squares).as.table, static_cast<std::int64_t>(i))->as.integer;
    std::cout << '\n';
}

} // namespace

int main() {
    neap_config config;
    neap_config_init(&config);
    try {
        Engine engine(config);
        engine.define("root", native_root, nullptr);
        print_squares(engine);
        try {
            engine.call("return root(...)", neap_integer(-1));
        } catch (const Error &error) {
            std::string text = error.what();
            std::cout << "caught: failed: " << text.substr(text.find("no root")) << '\n';
        }
        Value answer = engine.call("return select(2, pcall(error, 'out of patience', 2)) or ...", neap_nil());
        std::cout << "the script says: " << (*answer).as.string << '\n';
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
