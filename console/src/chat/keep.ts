// Components that are rendered again only when what they show is another value.

import { Component, type ComponentChild, type FunctionComponent } from 'preact';

/**
 * The same component, which stays as it is while every property is the same value (`Object.is`). The fold keeps the
 * identity of messages that did not change, so a token renders one message again and not the whole conversation.
 */
export function keep<P extends object>(render: (props: P) => ComponentChild): FunctionComponent<P> {
  class Kept extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const before: Readonly<P> = this.props;
      // The keys of a value of type P are keys of P; TypeScript cannot know that there are no others.
      const keys = Object.keys(next) as (keyof P)[];
      return keys.length !== Object.keys(before).length || keys.some((key) => !Object.is(before[key], next[key]));
    }

    override render(): ComponentChild {
      return render(this.props);
    }
  }
  // Preact takes a class wherever it takes a function; its types keep the two apart.
  return Kept as unknown as FunctionComponent<P>;
}
